"""Where a transcoder reads and writes, between the residual stream and its own tensors (study/circuit-tracer.md §2).

The stream here is the one before the norm of the MLP (reads), or the one that the layer adds to (writes). Norm scales
are held, so both ways are linear; what a norm's bias adds is kept apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from tracer.model.anatomy import Anatomy, Layer
from tracer.model.forward import Hooks
from tracer.model.record import Record

READ_HOOKS = ("hook_resid_mid", "ln2.hook_normalized", "mlp.hook_in")
NEURON_HOOK = "mlp.hook_post"  # where neurons are read off: the input of the down projection
WRITE_HOOKS = ("mlp.hook_out", "hook_mlp_out")


@dataclass
class ReadPoint:
    """One layer's feature input: `values` = centred(stream) · gain + bias, of one record."""

    values: Tensor  # (T, D)
    gain: Tensor | None  # (T, D) or (T, 1); None at the stream itself
    bias: Tensor | None  # (D,), of LayerNorm
    centred: Callable[[Tensor], Tensor]

    def forward(self, stream: Tensor, position: int | slice | Tensor) -> Tensor:
        """(…, D) at the stream → at the feature input, without the bias."""
        return stream if self.gain is None else self.centred(stream) * self.gain[position]

    def transpose(self, gradient: Tensor, position: int | slice | Tensor) -> Tensor:
        """(…, D) at the feature input → at the stream."""
        return gradient if self.gain is None else self.centred(gradient * self.gain[position])


def read_point(anatomy: Anatomy, record: Record, layer: int, hook: str) -> ReadPoint:
    """`hook` is one of READ_HOOKS: the stream, the normalised stream before the norm's weight, or the MLP's input."""
    stream = record.mlp_stream[layer]
    if hook == "hook_resid_mid":
        return ReadPoint(stream, None, None, anatomy.centred)
    if hook == "ln2.hook_normalized":
        scale = record.ln2_scale[layer]
        return ReadPoint(anatomy.centred(stream) * scale, scale, None, anatomy.centred)
    bias = anatomy.norm_bias(anatomy.layers[layer].ln2)
    return ReadPoint(record.mlp_input[layer], record.ln2[layer], bias, anatomy.centred)


def watch_input(
    hooks: Hooks,
    anatomy: Anatomy,
    layer: Layer,
    hook: str,
    take: Callable[[Tensor], None],
    scale: Tensor | None = None,
    whole: bool = False,
) -> None:
    """In a running pass: `take` the feature input of one layer, (T, D); at NEURON_HOOK the activations, (T, F).

    `scale` (T, 1): of the norm before the MLP, where it is held. `whole`: of all prompts of the pass, (B, T, …).
    """

    def given(x: Tensor) -> None:
        take(x if whole else x[0])

    def normalised(stream: Tensor) -> None:
        given(anatomy.centred(stream) * (anatomy.norm_scale(layer.ln2, stream) if scale is None else scale))

    if hook == "ln2.hook_normalized":
        hooks.look_before(layer.ln2, normalised)
        return
    modules = {"hook_resid_mid": layer.ln2, "mlp.hook_in": layer.mlp, NEURON_HOOK: layer.down_projection}
    hooks.look_before(modules[hook], given)


def output_module(layer: Layer, hook: str) -> nn.Module:
    """The module whose output is what features add to. `hook` is one of WRITE_HOOKS."""
    return layer.mlp if hook == "mlp.hook_out" or layer.post_mlp_norm is None else layer.post_mlp_norm


def write_gain(record: Record, layer: int, hook: str) -> Tensor | None:
    """(T, D): from the write point to the stream; None where they are the same. `hook` is one of WRITE_HOOKS."""
    return record.post_mlp[layer] if hook == "mlp.hook_out" else None


@dataclass
class Skip:
    """A transcoder's linear skip, out = in @ matrix, from stream to stream."""

    read: ReadPoint
    matrix: Tensor  # (D, D)
    gain: Tensor | None  # (T, D), of the write point

    def forward(self, stream: Tensor, position: int | slice) -> Tensor:
        """(…, D) before the MLP → what the skip adds."""
        out = self.read.forward(stream, position) @ self.matrix
        return out if self.gain is None else out * self.gain[position]

    def transpose(self, gradient: Tensor, position: slice) -> Tensor:
        """(n, positions, D) after the MLP → what the skip adds to it before the MLP."""
        out = gradient if self.gain is None else gradient * self.gain[position]
        return self.read.transpose(out @ self.matrix.T, position)

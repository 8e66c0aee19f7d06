"""One ordinary forward pass, with what the linear replay needs: patterns, norm gains, MLP inputs and outputs.

No autograd, eager attention, one prompt at a time. Knows nothing of features.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tracer.model.anatomy import Anatomy
from tracer.model.forward import hooked, last_logits


@dataclass
class Record:
    """Float32 throughout.

    A norm gain is weight / rms(x): what a norm multiplies its (where it centres: centred) input by, its scale held.
    """

    token_ids: list[int]
    embedding: Tensor  # (T, D) as the model made it (Gemma's √D included)
    logits: Tensor  # (V,) of the last position, CPU, as the model gives them (after its softcap)
    raw_logits: Tensor  # (V,), CPU, before the softcap: what the rows of a graph explain
    final_gain: Tensor  # (D,) of the last position
    positions: Tensor | None = None  # (T, D), learned positional embeddings
    patterns: list[Tensor] = field(default_factory=list)  # a layer: (H, T, T), [head, query, key]
    ln1: list[Tensor] = field(default_factory=list)  # a layer: gain (T, D)
    post_attention: list[Tensor | None] = field(default_factory=list)
    ln2: list[Tensor] = field(default_factory=list)
    post_mlp: list[Tensor | None] = field(default_factory=list)
    mlp_stream: list[Tensor] = field(default_factory=list)  # a layer: (T, D), the stream before ln2
    ln2_scale: list[Tensor] = field(default_factory=list)  # a layer: (T, 1), ln2's gain without its weight
    mlp_input: list[Tensor] = field(default_factory=list)  # a layer: (T, D), what the MLP module receives
    mlp_output: list[Tensor] = field(default_factory=list)  # a layer: (T, D), what is added to the residual stream

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)


@torch.no_grad()
def record_forward(anatomy: Anatomy, token_ids: list[int], on_layer: Callable[[int], None]) -> Record:
    """Run the prompt once. `on_layer(l)` is called after each layer and may raise to stop.

    Weights of a lower precision are raised to float32 one layer at a time, so that the replay of this pass is exact.
    """
    parts: dict[str, list] = {
        name: [None] * len(anatomy.layers)
        for name in (
            "patterns",
            "ln1",
            "post_attention",
            "mlp_stream",
            "ln2",
            "ln2_scale",
            "post_mlp",
            "mlp_input",
            "mlp_output",
        )
    }
    ends: dict[str, Tensor] = {}

    with hooked(anatomy) as hooks:
        hook = hooks.look
        hook(anatomy.embed, lambda _m, _i, out: ends.__setitem__("embedding", out[0]))
        if anatomy.positions is not None:
            hook(anatomy.positions, lambda _m, _i, out: ends.__setitem__("positions", out.reshape(len(token_ids), -1)))
        hook(anatomy.final_norm, lambda m, i, _o: ends.__setitem__("gain", anatomy.norm_gain(m, i[0][0, -1])))
        hook(anatomy.unembed, lambda _m, _i, out: ends.__setitem__("raw_logits", out[0, -1]))
        for index, layer in enumerate(anatomy.layers):

            def keep(name: str, value: Callable, index: int = index) -> Callable:
                return lambda m, i, o: parts[name].__setitem__(index, value(m, i, o))

            def gain(m: nn.Module, i: tuple, _o: object) -> Tensor:
                return anatomy.norm_gain(m, i[0][0])

            hook(layer.attention, keep("patterns", lambda _m, _i, o: o[1][0]))
            hook(layer.ln1, keep("ln1", gain))
            hook(layer.ln2, keep("ln2", gain))
            hook(layer.ln2, keep("ln2_scale", lambda m, i, _o: anatomy.norm_scale(m, i[0][0])))
            hook(layer.ln2, keep("mlp_stream", lambda _m, i, _o: i[0][0]))
            hook(layer.mlp, keep("mlp_input", lambda _m, i, _o: i[0][0]))
            if layer.post_attention_norm is not None:
                hook(layer.post_attention_norm, keep("post_attention", gain))
            if layer.post_mlp_norm is not None:
                hook(layer.post_mlp_norm, keep("post_mlp", gain))
            hook(layer.post_mlp_norm or layer.mlp, keep("mlp_output", lambda _m, _i, o: o[0]))
            hook(layer.module, lambda _m, _i, _o, index=index: on_layer(index))
        logits = last_logits(anatomy, token_ids)

    return Record(
        token_ids=list(token_ids),
        embedding=ends["embedding"],
        logits=logits,
        raw_logits=ends["raw_logits"].float().cpu(),
        final_gain=ends["gain"],
        positions=ends.get("positions"),
        **parts,
    )

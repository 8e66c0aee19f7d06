"""What is held as it was while edits act (DESIGN §4), and how it is held in the running model.

Each thing held is looked at during a run without edits and put back during the one with them. If nothing has changed
before it, putting it back changes nothing, to the bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tracer.errors import TracerError
from tracer.features.basis import Basis
from tracer.features.points import output_module, watch_input
from tracer.model.anatomy import Anatomy, Layer
from tracer.model.forward import Hooks

PROTOCOLS = {  # what is held, and what for
    "direct": "Attention patterns, norm scales and all MLP outputs stay as they were: the graph's own prediction.",
    "constrained": "Patterns stay; MLP outputs of the chosen layers stay, the others follow: the papers' experiments.",
    "clamp": "Attention patterns stay, everything else follows: circuit-tracer's default.",
    "free": "Nothing is held: what a user of the model would see.",
}


@dataclass(frozen=True)
class Protocol:
    """`layers`: where MLP outputs are held, at the point where features write; a transcoder's skip follows its input.

    Where there are any, an edit is measured from the activation without edits, and writes within them alone; else from
    the activation in the run with edits, so that the feature ends at its value, and it writes at all layers it has.
    """

    name: str
    patterns: bool  # of attention
    layers: range
    norms: bool  # their scales

    def writes(self, layer: int) -> bool:
        return not self.layers or layer in self.layers


def choose(name: str, layers: tuple[int, int] | None, n_layers: int) -> Protocol:
    """`layers` (a, b), b not included, for `constrained` alone. Over all layers it is `direct`, as in circuit-tracer.

    Raises TracerError for an unknown name, and for layers that are missing, not there or not asked for.
    """
    if name not in PROTOCOLS:
        raise TracerError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    if (name == "constrained") != (layers is not None):
        wrong = "needs layers (a, b)" if layers is None else "takes no layers"
        raise TracerError(f"the protocol {name!r} {wrong}; layers are for 'constrained', b not included")
    if layers is not None and (len(layers) != 2 or not 0 <= layers[0] < layers[1] <= n_layers):
        raise TracerError(
            f"layers {tuple(layers)} are no range of the model's; give (a, b) with 0 ≤ a < b ≤ {n_layers}"
        )
    held = range(n_layers) if name == "direct" else range(*layers or (0,))
    return Protocol(name, patterns=name != "free", layers=held, norms=len(held) == n_layers)


class Held:
    """The values of one prompt that a protocol holds, for any number of runs with edits side by side."""

    def __init__(self, anatomy: Anatomy, basis: Basis, protocol: Protocol) -> None:
        self.anatomy, self.basis, self.protocol = anatomy, basis, protocol
        self.patterns: dict[int, Tensor] = {}  # a layer: (1, H, T, T)
        self.outputs: dict[int, Tensor] = {}  # a layer: (1, T, D) at the write point
        self.skips = {i: matrix for i in protocol.layers if (matrix := basis.skip_matrix(i)) is not None}
        self.inputs: dict[int, Tensor] = {}  # a layer with a skip: (1, T, D), what the skip reads
        self.scales: dict[nn.Module, Tensor] = {}  # a norm: (1, T, 1)
        self.lowest = self.first = 0  # the layer and the position from which on they are kept

    def keep(self, hooks: Hooks, lowest: int, first: int) -> None:
        """During the run without edits: of the layers from `lowest` and the positions from `first` on, where runs with
        edits can differ."""
        self.lowest, self.first = lowest, first
        for at, layer in enumerate(self.anatomy.layers[lowest:], start=lowest):
            if self.protocol.patterns:
                hooks.look(
                    layer.attention, lambda _m, _i, o, at=at: self.patterns.__setitem__(at, o[1][:, :, first:].clone())
                )
            if at in self.protocol.layers:
                output = output_module(layer, self.basis.writes_at)
                hooks.look(output, lambda _m, _i, o, at=at: self.outputs.__setitem__(at, o[:, first:]))
            if at in self.skips:
                take = partial(self._keep_input, at)
                watch_input(hooks, self.anatomy, layer, self.basis.reads_at, take, whole=True)
        for norm in self._norms():
            hooks.look(norm, lambda m, i, _o: self.scales.__setitem__(m, self.anatomy.norm_scale(m, i[0])[:, first:]))

    def _keep_input(self, at: int, inputs: Tensor) -> None:
        self.inputs[at] = inputs[:, self.first :]

    def put_back(self, hooks: Hooks, layers: range, first: int, values: list[Tensor]) -> None:
        """During a run with edits of these layers and of the positions from `first` on.

        `values` (1, H_kv, T, d_head), a layer each: of attention in the run without edits. What is added to MLP outputs
        is hooked after this.
        """
        for norm in self._norms():
            hooks.change(norm, partial(self._held_norm, first))
        for at in layers:
            layer = self.anatomy.layers[at]
            if self.protocol.patterns:
                hold_pattern(hooks, layer, self.patterns[at][:, :, first - self.first :], values[at][:, :, :first])
            if at in self.protocol.layers:
                self._hold_output(hooks, at, layer, first)

    def _norms(self) -> list[nn.Module]:
        if not self.protocol.norms:
            return []
        layers = self.anatomy.layers[self.lowest :]
        return [norm for layer in layers for norm in layer.norms] + [self.anatomy.final_norm]

    def _held_norm(self, first: int, norm: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        """The output as it would be at the scale held: all but the bias is proportional to the scale."""
        bias = self.anatomy.norm_bias(norm)
        moved = self.scales[norm][:, first - self.first :] / self.anatomy.norm_scale(norm, inputs[0]) - 1
        return output + moved * (output if bias is None else output - bias)

    def _hold_output(self, hooks: Hooks, at: int, layer: Layer, first: int) -> None:
        now: dict[str, Tensor] = {}
        output = self.outputs[at][:, first - self.first :]

        def held(_m: nn.Module, _i: tuple, own: Tensor) -> Tensor:
            if at not in self.skips:
                return output.expand_as(own)
            return output + (now["input"] - self.inputs[at][:, first - self.first :]) @ self.skips[at]

        if at in self.skips:
            self.watch_input(hooks, at, first, partial(now.__setitem__, "input"))
        hooks.change(output_module(layer, self.basis.writes_at), held)

    def watch_input(self, hooks: Hooks, at: int, first: int, take: Callable[[Tensor], None]) -> None:
        """Look at what features of a layer read in a run with edits, (B, T − first, …), at the norm scale held."""
        layer = self.anatomy.layers[at]
        held = self.scales.get(layer.ln2)
        scale = None if held is None else held[0, first - self.first :]
        watch_input(hooks, self.anatomy, layer, self.basis.reads_at, take, scale, whole=True)


def hold_pattern(hooks: Hooks, layer: Layer, pattern: Tensor, before: Tensor) -> None:
    """Let a layer's attention mix the values of the running pass by `pattern` (1, H, t, T).

    `before` (1, H_kv, T − t, d_head): the values at the positions before those that run. Step by step what eager
    attention does, so that the same values give the same bits.
    """
    values: dict[str, Tensor] = {}

    def mixed(_own: Tensor) -> Tensor:
        size = layer.n_kv_heads * layer.head_dim
        own = values["now"][..., -size:]
        rows, n = own.shape[:2]
        heads = own.view(rows, n, layer.n_kv_heads, layer.head_dim).transpose(1, 2)
        heads = torch.cat([before.expand(rows, -1, -1, -1), heads], dim=2)
        groups, n_all = layer.n_heads // layer.n_kv_heads, heads.shape[2]
        heads = heads[:, :, None].expand(-1, -1, groups, -1, -1)
        heads = heads.reshape(rows, layer.n_heads, n_all, layer.head_dim)
        return torch.matmul(pattern, heads).transpose(1, 2).reshape(rows, n, -1).contiguous()

    hooks.look(layer.value_projection, lambda _m, _i, o: values.__setitem__("now", o))
    hooks.change_before(layer.output_projection, mixed)

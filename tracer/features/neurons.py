"""MLP neurons as features: no download, no training, and rows that sum exactly to the neuron's activation.

A neuron's activation is h = act(g)·u, the input of the down projection. RelP (arXiv 2508.21258, rules as in
TransluceAI/circuits): act(g) = c·g with c held, and the product split in halves, so that
h = ½·c·(u·(w_gate·x + b_gate) + g·(w_up·x + b_up)) and the read vector is ½·c·(u·w_gate + g·w_up). In an ungated MLP
h = act(g) with g = w_in·x + b_in, and the read vector is c·w_in.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import FeatureSet
from tracer.features.points import NEURON_HOOK, ReadPoint, read_point
from tracer.model.anatomy import ACTIVATION_GATES, Anatomy, Layer, Linear
from tracer.model.record import Record


class NeuronBasis:
    name = fingerprint = "neurons"
    selects_by_attribution = True
    default_nodes = 2000
    reads_at, writes_at = NEURON_HOOK, "mlp.hook_out"
    zero_at_excluded = False  # a neuron is there whether it is a node or not

    def __init__(self, anatomy: Anatomy) -> None:
        if anatomy.activation not in ACTIVATION_GATES:
            raise TracerError(
                f"MLP activation '{anatomy.activation}' is not supported; supported are {', '.join(ACTIVATION_GATES)}"
            )
        self.anatomy, self.n_features = anatomy, anatomy.d_mlp
        self.gate = ACTIVATION_GATES[anatomy.activation]

    @torch.no_grad()
    def encode(self, record: Record, excluded: list[int], progress: Progress = silent) -> "NeuronEncoding":
        return NeuronEncoding(self, record, excluded, progress)

    @torch.no_grad()
    def activations(self, record: Record, layer: int, feature: int) -> Tensor:
        """(T,)"""
        parts, one = self.anatomy.layers[layer], torch.tensor([feature], device=record.embedding.device)
        x = record.mlp_input[layer]
        u = (x @ parts.up.rows(one).T + parts.up.bias_at(one))[:, 0]
        if parts.gate is None:
            return self.gate(u) * u
        g = (x @ parts.gate.rows(one).T + parts.gate.bias_at(one))[:, 0]
        return self.gate(g) * g * u

    def reader(self, layer: int, features: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda h: h[:, features]

    def write_vectors(self, layer: int, features: Tensor) -> Tensor:
        """(n, 1, D): columns of the down projection."""
        return self.anatomy.layers[layer].down.columns(features)[:, None]

    def skip_matrix(self, layer: int) -> None:
        return None

    @torch.no_grad()
    def output_direction(self, layer: int, feature: int) -> Tensor:
        """(D,): the neuron's write vector at the stream, with weights of norms but without their scales."""
        parts = self.anatomy.layers[layer]
        vector = parts.down.columns(torch.tensor([feature]))[0]
        return vector if parts.post_mlp_norm is None else vector * self.anatomy.norm_weight(parts.post_mlp_norm)


class NeuronEncoding:
    """A layer: h, and the factors α of w_gate (½·c·u), β of w_up (½·c·g; ungated: c) in read vectors. All (T, F)."""

    cross_layer = False

    def __init__(self, basis: NeuronBasis, record: Record, excluded: list[int], progress: Progress) -> None:
        self.basis, self.record, self.excluded = basis, record, excluded
        self.layers: list[Layer] = basis.anatomy.layers
        self.h: list[Tensor] = []
        self.alpha: list[Tensor | None] = []
        self.beta: list[Tensor] = []
        for at, (layer, x) in enumerate(zip(self.layers, record.mlp_input, strict=True)):
            progress("encode", at / len(self.layers))
            u = layer.up(x)
            g = u if layer.gate is None else layer.gate(x)
            c = basis.gate(g)
            self.h.append(c * g if layer.gate is None else c * g * u)
            self.alpha.append(None if layer.gate is None else 0.5 * c * u)
            self.beta.append(c if layer.gate is None else 0.5 * c * g)
            basis.anatomy.release()
        kept = [p for p in range(record.n_tokens) if p not in set(excluded)]
        self.n_active = sum(int(torch.count_nonzero(h[kept])) for h in self.h)

    def _factors(self, layer: int) -> list[tuple[Linear, Tensor]]:
        """The input matrices of a layer's MLP, each with its factor (T, F) in the read vectors."""
        parts, alpha = self.layers[layer], self.alpha[layer]
        up = (parts.up, self.beta[layer])
        return [up] if parts.gate is None or alpha is None else [(parts.gate, alpha), up]

    def _input(self, layer: int) -> ReadPoint:
        return read_point(self.basis.anatomy, self.record, layer, "mlp.hook_in")

    def active(self) -> FeatureSet:
        active = torch.stack(self.h) != 0
        active[:, self.excluded] = False
        return FeatureSet(*(x.contiguous() for x in active.nonzero(as_tuple=True)))

    def activation(self, features: FeatureSet) -> Tensor:
        return torch.stack(self.h)[features.layer, features.position, features.feature]

    def read(self, layer: int, position: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        point = self._input(layer)
        vector, own = 0.0, torch.zeros(len(feature), device=feature.device)
        for matrix, factor in self._factors(layer):
            at = factor[position, feature]
            vector = vector + at[:, None] * matrix.rows(feature)
            own = own + at * matrix.bias_at(feature)
        if point.bias is not None:
            own = own + vector @ point.bias
        return point.transpose(vector, position), own

    def written(self, features: FeatureSet) -> list[Tensor]:
        return [
            self.write(layer, features.position[span], features.feature[span])
            for layer, span in ((layer, features.span(layer)) for layer in range(len(self.layers)))
        ]

    def write(self, layer: int, position: Tensor, feature: Tensor) -> Tensor:
        """Write vectors × activations (n, D) of some neurons of one layer."""
        vector = self.layers[layer].down.columns(feature) * self.h[layer][position, feature][:, None]
        gain = self.record.post_mlp[layer]
        return vector if gain is None else vector * gain[position]

    def constant(self, layer: int) -> Tensor | None:
        bias = self.layers[layer].down.bias
        if bias is None:
            return None
        gain = self.record.post_mlp[layer]
        constant = bias.expand(self.record.n_tokens, -1)
        return constant if gain is None else constant * gain

    def skip(self, layer: int) -> None:
        return None

    def through(self, layer: int, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Send gradients back through the whole MLP, by RelP's rules.

        `gradient` (K, T, D) at the stream after the MLP. Returns the gradient at each neuron, (K, T, F), and at the
        stream before the MLP, (K, T, D). Excluded positions have no neurons, so nothing passes there.
        """
        gain = self.record.post_mlp[layer]
        at_neurons = (gradient if gain is None else gradient * gain) @ self.layers[layer].down.weight
        at_neurons[:, self.excluded] = 0
        before = sum((at_neurons * factor) @ matrix.weight for matrix, factor in self._factors(layer))
        return at_neurons, self._input(layer).transpose(before, slice(None))

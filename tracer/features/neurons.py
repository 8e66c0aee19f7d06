"""MLP neurons as features: no download, no training, and rows that sum exactly to the neuron's activation.

A neuron's activation is h = act(g)·u, the input of the down projection. RelP (arXiv 2508.21258, rules as in
TransluceAI/circuits): act(g) = c·g with c held, and the product split in halves, so that
h = ½·c·(u·(w_gate·x + b_gate) + g·(w_up·x + b_up)) and the read vector is ½·c·(u·w_gate + g·w_up).
"""

import torch
from torch import Tensor

from tracer.errors import TracerError
from tracer.features.basis import FeatureSet
from tracer.model.anatomy import ACTIVATION_GATES, Anatomy, Layer
from tracer.model.record import Record


class NeuronBasis:
    name = "neurons"

    def __init__(self, anatomy: Anatomy) -> None:
        if anatomy.activation not in ACTIVATION_GATES:
            raise TracerError(
                f"MLP activation '{anatomy.activation}' is not supported; supported are {', '.join(ACTIVATION_GATES)}"
            )
        self.anatomy = anatomy
        self.gate = ACTIVATION_GATES[anatomy.activation]

    @torch.no_grad()
    def encode(self, record: Record, excluded: list[int]) -> "NeuronEncoding":
        return NeuronEncoding(self, record, excluded)

    @torch.no_grad()
    def output_direction(self, layer: int, feature: int) -> Tensor:
        """(D,): the neuron's write vector at the stream, with weights of norms but without their scales."""
        parts = self.anatomy.layers[layer]
        vector = parts.mlp.down_proj.weight[:, feature].detach().float()
        return vector if parts.post_mlp_norm is None else vector * self.anatomy.norm_weight(parts.post_mlp_norm)


class NeuronEncoding:
    """Per layer: h, and the factors α = ½·c·u and β = ½·c·g of w_gate and w_up in the read vector. All (T, F)."""

    def __init__(self, basis: NeuronBasis, record: Record, excluded: list[int]) -> None:
        self.basis, self.record, self.excluded = basis, record, excluded
        self.layers: list[Layer] = basis.anatomy.layers
        self.h: list[Tensor] = []
        self.alpha: list[Tensor] = []
        self.beta: list[Tensor] = []
        for layer, x in zip(self.layers, record.mlp_input, strict=True):
            g = _linear(layer.mlp.gate_proj, x)
            u = _linear(layer.mlp.up_proj, x)
            c = basis.gate(g)
            self.h.append(c * g * u)
            self.alpha.append(0.5 * c * u)
            self.beta.append(0.5 * c * g)
        kept = [p for p in range(record.n_tokens) if p not in set(excluded)]
        self.n_active = sum(int(torch.count_nonzero(h[kept])) for h in self.h)

    def activation(self, features: FeatureSet) -> Tensor:
        return torch.stack(self.h)[features.layer, features.position, features.feature]

    def read(self, layer: int, position: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        mlp = self.layers[layer].mlp
        alpha, beta = self.alpha[layer][position, feature], self.beta[layer][position, feature]
        vector = alpha[:, None] * mlp.gate_proj.weight[feature].float()
        vector += beta[:, None] * mlp.up_proj.weight[feature].float()
        own = torch.zeros_like(alpha)
        if mlp.gate_proj.bias is not None:
            own = alpha * mlp.gate_proj.bias[feature].float() + beta * mlp.up_proj.bias[feature].float()
        return vector * self.record.ln2[layer][position], own

    def write(self, layer: int, position: Tensor, feature: Tensor) -> Tensor:
        vector = self.layers[layer].mlp.down_proj.weight[:, feature].float().T
        vector = vector * self.h[layer][position, feature][:, None]
        gain = self.record.post_mlp[layer]
        return vector if gain is None else vector * gain[position]

    def constant(self, layer: int) -> Tensor | None:
        bias = self.layers[layer].mlp.down_proj.bias
        if bias is None:
            return None
        gain = self.record.post_mlp[layer]
        constant = bias.float().expand(self.record.n_tokens, -1)
        return constant if gain is None else constant * gain

    def through(self, layer: int, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Send gradients back through the whole MLP, by RelP's rules.

        `gradient` (K, T, D) at the stream after the MLP. Returns the gradient at each neuron, (K, T, F), and at the
        stream before the MLP, (K, T, D). Excluded positions have no neurons, so nothing passes there.
        """
        mlp, record = self.layers[layer].mlp, self.record
        gain = record.post_mlp[layer]
        at_neurons = (gradient if gain is None else gradient * gain) @ mlp.down_proj.weight.float()
        at_neurons[:, self.excluded] = 0
        before = (at_neurons * self.alpha[layer]) @ mlp.gate_proj.weight.float()
        before += (at_neurons * self.beta[layer]) @ mlp.up_proj.weight.float()
        return at_neurons, before * record.ln2[layer]


def _linear(module: torch.nn.Module, x: Tensor) -> Tensor:
    bias = module.bias
    return torch.nn.functional.linear(x, module.weight.float(), None if bias is None else bias.float())

"""Where each model family keeps its norms, attention and MLP, as data.

Paths are attribute paths in the Hugging Face module tree. Knows nothing of prompts or features.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from tracer.errors import TracerError
from tracer.model.mapped import MappedWeights


@dataclass(frozen=True)
class Family:
    """Module paths of one `model_type`; those of a layer, of its attention and of its MLP are relative to these."""

    embed: str = "model.embed_tokens"
    positions: str | None = None  # learned positional embeddings, added to those of the tokens
    layers: str = "model.layers"
    final_norm: str = "model.norm"
    unembed: str = "lm_head"
    ln1: str = "input_layernorm"  # before attention
    attention: str = "self_attn"
    value: str = "v_proj"
    fused_values: bool = False  # `value` names queries, keys and values in one matrix; values come last
    output: str = "o_proj"
    post_attention_norm: str | None = None  # between attention and the residual stream (Gemma)
    ln2: str = "post_attention_layernorm"  # before the MLP
    mlp: str = "mlp"
    gate: str | None = "gate_proj"  # None: an ungated MLP
    up: str = "up_proj"
    down: str = "down_proj"
    post_mlp_norm: str | None = None  # between the MLP and the residual stream (Gemma)
    norm_offset: float = 0.0  # the gain is (offset + weight)
    centred_norms: bool = False  # LayerNorm: the mean is taken off first


_LLAMA = Family()
_GEMMA = Family(
    post_attention_norm="post_attention_layernorm",
    ln2="pre_feedforward_layernorm",
    post_mlp_norm="post_feedforward_layernorm",
    norm_offset=1.0,
)
_GEMMA3_WITH_IMAGES = replace(
    _GEMMA,
    embed="model.language_model.embed_tokens",
    layers="model.language_model.layers",
    final_norm="model.language_model.norm",
)
_GPT2 = Family(
    embed="transformer.wte",
    positions="transformer.wpe",
    layers="transformer.h",
    final_norm="transformer.ln_f",
    ln1="ln_1",
    attention="attn",
    value="c_attn",
    fused_values=True,
    output="c_proj",
    ln2="ln_2",
    gate=None,
    up="c_fc",
    down="c_proj",
    centred_norms=True,
)

FAMILIES = {
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "gemma3": _GEMMA3_WITH_IMAGES,  # from 4B on; its text part
    "gpt2": _GPT2,
}
"""By `config.model_type`. Biases, q/k norms, softcaps and windows need no entry: patterns hold what acts on them."""


def in_float32(weight: Tensor, device: torch.device) -> Tensor:
    """In float32, on a device; the same tensor if it is that already. It travels as it is stored: half the bytes."""
    return weight.to(device).to(torch.float32)


def _sigmoid_gate(g: Tensor) -> Tensor:
    return torch.sigmoid(g)


def _gelu_gate(g: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(g / 2**0.5))


def _gelu_tanh_gate(g: Tensor) -> Tensor:
    return 0.5 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (g + 0.044715 * g**3)))


def _relu_gate(g: Tensor) -> Tensor:
    return (g > 0).to(g.dtype)


ACTIVATION_GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": _sigmoid_gate,
    "gelu": _gelu_gate,
    "gelu_pytorch_tanh": _gelu_tanh_gate,
    "gelu_new": _gelu_tanh_gate,
    "relu": _relu_gate,
}
"""c(g) with act(g) = c(g)·g, free of division, by the name in the model's config."""


@dataclass
class Linear:
    """y = W x + b.

    `stored` (out, in) and `stored_bias` (out,) are views of the model's own parameters, in their dtype and where they
    lie; what is made of them is float32, at `device`.
    """

    stored: Tensor
    stored_bias: Tensor | None
    device: torch.device

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, self.weight, self.bias)

    @property
    def weight(self) -> Tensor:
        """(out, in)."""
        return in_float32(self.stored, self.device)

    @property
    def bias(self) -> Tensor | None:
        """(out,)."""
        return None if self.stored_bias is None else in_float32(self.stored_bias, self.device)

    def rows(self, index: Tensor) -> Tensor:
        """(n, in)."""
        return in_float32(self.stored[index.to(self.stored.device)], self.device)

    def columns(self, index: Tensor) -> Tensor:
        """(n, out)."""
        return in_float32(self.stored[:, index.to(self.stored.device)], self.device).T

    def bias_at(self, index: Tensor) -> Tensor | float:
        return 0.0 if self.bias is None else self.bias[index]


@dataclass
class Layer:
    """The modules of one transformer layer, under one naming for all families."""

    module: nn.Module
    family: Family
    n_heads: int
    n_kv_heads: int
    head_dim: int
    device: torch.device  # where it runs; its weights may lie elsewhere

    def __post_init__(self) -> None:
        self.ln1: nn.Module = getattr(self.module, self.family.ln1)
        self.attention: nn.Module = getattr(self.module, self.family.attention)
        self.value_projection: nn.Module = getattr(self.attention, self.family.value)
        self.output_projection: nn.Module = getattr(self.attention, self.family.output)
        self.post_attention_norm = _optional(self.module, self.family.post_attention_norm)
        self.ln2: nn.Module = getattr(self.module, self.family.ln2)
        self.mlp: nn.Module = getattr(self.module, self.family.mlp)
        self.down_projection: nn.Module = getattr(self.mlp, self.family.down)
        self.post_mlp_norm = _optional(self.module, self.family.post_mlp_norm)

    @property
    def norms(self) -> list[nn.Module]:
        every = (self.ln1, self.post_attention_norm, self.ln2, self.post_mlp_norm)
        return [norm for norm in every if norm is not None]

    @property
    def output(self) -> Linear:
        """W_O (D, H·d_head) and b_O."""
        return self._linear(self.output_projection)

    @property
    def value(self) -> Linear:
        """W_V (H_kv·d_head, D) and b_V."""
        whole = self._linear(self.value_projection)
        if not self.family.fused_values:
            return whole
        size, bias = self.n_kv_heads * self.head_dim, whole.stored_bias
        return replace(whole, stored=whole.stored[-size:], stored_bias=None if bias is None else bias[-size:])

    @property
    def gate(self) -> Linear | None:
        """W_gate (F, D) and its bias; None for an ungated MLP."""
        return None if self.family.gate is None else self._linear(getattr(self.mlp, self.family.gate))

    @property
    def up(self) -> Linear:
        """W_up (F, D) and its bias: of an ungated MLP its only input matrix."""
        return self._linear(getattr(self.mlp, self.family.up))

    @property
    def down(self) -> Linear:
        """W_down (D, F) and its bias."""
        return self._linear(self.down_projection)

    def _linear(self, module: nn.Module) -> Linear:
        weight = module.weight.detach()
        bias = None if module.bias is None else module.bias.detach()
        # GPT-2 keeps its matrices transposed
        return Linear(weight.T if isinstance(module, Conv1D) else weight, bias, self.device)


class Anatomy:
    """One naming for the parts of a Hugging Face decoder.

    Raises TracerError for a family that is not supported, naming those that are.
    """

    def __init__(self, model: nn.Module, mapped: MappedWeights | None = None) -> None:
        """`mapped`: the weights that stay on the disk, if any do."""
        kind = model.config.model_type
        family = FAMILIES.get(kind)
        if family is None:
            raise TracerError(f"model type '{kind}' is not supported yet; supported are {', '.join(sorted(FAMILIES))}")
        config: Any = model.config.get_text_config()
        self.family = family
        self.model = model
        self.mapped = mapped
        self.lock = threading.Lock()  # of the modules: passes take turns, whichever bases they serve
        self.embed: nn.Module = attrgetter(family.embed)(model)
        self.positions: nn.Module | None = None if family.positions is None else attrgetter(family.positions)(model)
        self.final_norm: nn.Module = attrgetter(family.final_norm)(model)
        self.unembed: nn.Module = attrgetter(family.unembed)(model)
        self.device: torch.device = self.unembed.weight.device  # where the model runs; layers may be kept elsewhere
        n_heads = config.num_attention_heads
        self.layers = [
            Layer(
                module=module,
                family=family,
                n_heads=n_heads,
                n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
                head_dim=getattr(config, "head_dim", None) or config.hidden_size // n_heads,
                device=self.device,
            )
            for module in attrgetter(family.layers)(model)
        ]
        self.d_model: int = config.hidden_size
        self.window: int = config.max_position_embeddings  # tokens that it was made for
        self.d_mlp: int = self.layers[0].down.stored.shape[1]
        self.vocab_size: int = self.unembed.weight.shape[0]
        names = ("hidden_activation", "hidden_act", "activation_function")
        self.activation: str = next(filter(None, (getattr(config, name, None) for name in names)))

    @property
    def weight_bytes(self) -> int:
        """Of the weights in memory, without those that stay on the disk."""
        return sum(p.nbytes for p in self.model.parameters()) - (self.mapped.bytes if self.mapped else 0)

    def release(self) -> None:
        """Give back the memory of weights that stay on the disk."""
        if self.mapped is not None:
            self.mapped.release()

    def norm_scale(self, norm: nn.Module, x: Tensor) -> Tensor:
        """(…, 1), float32: one over the root of the mean square of x (…, D), of LayerNorm of its deviation."""
        eps = next(filter(None, (getattr(norm, name, None) for name in ("eps", "variance_epsilon"))))
        return torch.rsqrt(self.centred(x.float()).pow(2).mean(-1, keepdim=True) + eps)

    def norm_weight(self, norm: nn.Module) -> Tensor:
        """(D,), float32."""
        return self.family.norm_offset + in_float32(norm.weight.detach(), self.device)

    def norm_gain(self, norm: nn.Module, x: Tensor) -> Tensor:
        """The factor by which a norm multiplies x (…, D), centred where it centres, elementwise. Float32."""
        return self.norm_scale(norm, x) * self.norm_weight(norm)

    def norm_bias(self, norm: nn.Module) -> Tensor | None:
        """(D,), float32: LayerNorm's."""
        bias = getattr(norm, "bias", None)
        return None if bias is None else in_float32(bias.detach(), self.device)

    def centred(self, x: Tensor) -> Tensor:
        """x (…, D) less its mean where the family's norms take it off. Its own transpose."""
        return x - x.mean(-1, keepdim=True) if self.family.centred_norms else x

    def attention_constant(self, layer: Layer) -> Tensor | None:
        """b_O + W_O (b_V + W_V b_ln1) (D,): added whatever attention reads, as every pattern sums to one.

        None where there are no biases.
        """
        value, output, norm_bias = layer.value, layer.output, self.norm_bias(layer.ln1)
        at_values, constant = value.bias, output.bias
        if norm_bias is not None:
            at_values = (0 if at_values is None else at_values) + value.weight @ norm_bias
        if at_values is None:
            return constant
        groups = layer.n_heads // layer.n_kv_heads
        per_head = at_values.view(layer.n_kv_heads, 1, -1).expand(-1, groups, -1).reshape(-1)
        return output.weight @ per_head + (0 if constant is None else constant)


def _optional(module: nn.Module, path: str | None) -> nn.Module | None:
    return None if path is None else getattr(module, path)

"""Where each model family keeps its norms, attention and MLP, as data.

Paths are attribute paths in the Hugging Face module tree. Knows nothing of prompts or features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from tracer.errors import TracerError


@dataclass(frozen=True)
class Family:
    """Module paths of one `model_type`; those of a layer are relative to the layer."""

    embed: str
    layers: str
    final_norm: str
    unembed: str
    ln1: str  # before attention
    attention: str
    post_attention_norm: str | None  # between attention and the residual stream (Gemma)
    ln2: str  # before the MLP
    mlp: str
    post_mlp_norm: str | None  # between the MLP and the residual stream (Gemma)
    norm_offset: float  # the gain is (offset + weight)


_LLAMA = Family(
    embed="model.embed_tokens",
    layers="model.layers",
    final_norm="model.norm",
    unembed="lm_head",
    ln1="input_layernorm",
    attention="self_attn",
    post_attention_norm=None,
    ln2="post_attention_layernorm",
    mlp="mlp",
    post_mlp_norm=None,
    norm_offset=0.0,
)

_GEMMA3 = Family(
    embed="model.embed_tokens",
    layers="model.layers",
    final_norm="model.norm",
    unembed="lm_head",
    ln1="input_layernorm",
    attention="self_attn",
    post_attention_norm="post_attention_layernorm",
    ln2="pre_feedforward_layernorm",
    mlp="mlp",
    post_mlp_norm="post_feedforward_layernorm",
    norm_offset=1.0,
)

FAMILIES = {"llama": _LLAMA, "gemma3_text": _GEMMA3}
"""By `config.model_type`: Llama and SmolLM2; Gemma 3 (text)."""


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
    "relu": _relu_gate,
}
"""c(g) with act(g) = c(g)·g, free of division, by the name in the model's config."""


@dataclass
class Layer:
    """The modules of one transformer layer, under one naming for all families."""

    module: nn.Module
    ln1: nn.Module
    attention: nn.Module
    post_attention_norm: nn.Module | None
    ln2: nn.Module
    mlp: nn.Module
    post_mlp_norm: nn.Module | None
    n_heads: int
    n_kv_heads: int
    head_dim: int

    def output_projection(self) -> Tensor:
        """W_O, (D, H·d_head), float32."""
        return self.attention.o_proj.weight.detach().float()

    def value_projection(self) -> Tensor:
        """W_V, (H_kv·d_head, D), float32."""
        return self.attention.v_proj.weight.detach().float()

    def attention_constant(self) -> Tensor | None:
        """b_O + W_O b_V (D,): added whatever attention reads, as every pattern sums to one; None without biases."""
        b_o, b_v = self.attention.o_proj.bias, self.attention.v_proj.bias
        if b_o is None and b_v is None:
            return None
        constant = torch.zeros(self.attention.o_proj.weight.shape[0], device=self.attention.o_proj.weight.device)
        if b_o is not None:
            constant = constant + b_o.detach().float()
        if b_v is not None:
            groups = self.n_heads // self.n_kv_heads
            per_head = b_v.detach().float().view(self.n_kv_heads, 1, -1).expand(-1, groups, -1).reshape(-1)
            constant = constant + self.output_projection() @ per_head
        return constant


class Anatomy:
    """One naming for the parts of a Hugging Face decoder.

    Raises TracerError for a family that is not supported, naming those that are.
    """

    def __init__(self, model: nn.Module) -> None:
        config: Any = model.config
        family = FAMILIES.get(config.model_type)
        if family is None:
            raise TracerError(
                f"model type '{config.model_type}' is not supported yet; supported are {', '.join(sorted(FAMILIES))}"
            )
        self.family = family
        self.model = model
        self.embed: nn.Module = attrgetter(family.embed)(model)
        self.final_norm: nn.Module = attrgetter(family.final_norm)(model)
        self.unembed: nn.Module = attrgetter(family.unembed)(model)
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.layers = [
            Layer(
                module=module,
                ln1=getattr(module, family.ln1),
                attention=getattr(module, family.attention),
                post_attention_norm=_optional(module, family.post_attention_norm),
                ln2=getattr(module, family.ln2),
                mlp=getattr(module, family.mlp),
                post_mlp_norm=_optional(module, family.post_mlp_norm),
                n_heads=config.num_attention_heads,
                n_kv_heads=config.num_key_value_heads,
                head_dim=head_dim,
            )
            for module in attrgetter(family.layers)(model)
        ]
        self.d_model: int = config.hidden_size
        self.d_mlp: int = config.intermediate_size
        self.vocab_size: int = self.unembed.weight.shape[0]
        self.activation: str = getattr(config, "hidden_activation", None) or config.hidden_act
        self.final_softcap: float | None = getattr(config, "final_logit_softcapping", None)

    def norm_gain(self, norm: nn.Module, x: Tensor) -> Tensor:
        """The factor by which an RMS norm multiplies x (…, D) elementwise: weight / rms(x), float32."""
        eps = getattr(norm, "eps", None) or norm.variance_epsilon
        x = x.float()
        return torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * self.norm_weight(norm)

    def norm_weight(self, norm: nn.Module) -> Tensor:
        """(D,), float32."""
        return self.family.norm_offset + norm.weight.detach().float()


def _optional(module: nn.Module, path: str | None) -> nn.Module | None:
    return None if path is None else getattr(module, path)

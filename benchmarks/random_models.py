"""Models in published shapes with random weights, and random transcoders of a realistic size, written to disk.

What they compute means nothing; how long it takes, how much memory and how exact it is are those of the real ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Gemma2Config, Gemma3TextConfig, GPT2Config, LlamaConfig, PretrainedConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tests.helpers import tokenizer

SEED = 0
BIAS = -3.0  # of the encoders: some 33 active features a layer and token of 16,384
HOOKS = "feature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"


@dataclass(frozen=True)
class Shape:
    """A model, and how many features a layer of its transcoders has, of which kind."""

    config: Callable[[], PretrainedConfig]
    features: int
    kind: str = "plt"


SHAPES = {
    "gemma-3-270m": Shape(
        lambda: Gemma3TextConfig(
            vocab_size=262_144,
            hidden_size=640,
            intermediate_size=2048,
            num_hidden_layers=18,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=256,
            sliding_window=512,
        ),
        16_384,
    ),
    "llama-3.2-1b": Shape(
        lambda: LlamaConfig(
            vocab_size=128_256,
            hidden_size=2048,
            intermediate_size=8192,
            num_hidden_layers=16,
            num_attention_heads=32,
            num_key_value_heads=8,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
        ),
        4096,
        "clt",
    ),
    "gemma-2-2b": Shape(
        lambda: Gemma2Config(
            vocab_size=256_000,
            hidden_size=2304,
            intermediate_size=9216,
            num_hidden_layers=26,
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=256,
        ),
        16_384,
    ),
}
TINY = {
    "tiny": Shape(
        lambda: GPT2Config(
            vocab_size=261, n_embd=32, n_layer=3, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=0
        ),
        64,
    )
}


def make(shape: Shape, folder: Path, device: torch.device) -> None:
    """`model` and `set` in the folder, both in bfloat16; drawn on the device, as millions of numbers are."""
    generator = torch.Generator(device).manual_seed(SEED)

    def random(*size: int) -> Tensor:
        """Of rows of length about 1."""
        return torch.randn(size, generator=generator, device=device).mul_(size[-1] ** -0.5).to(torch.bfloat16)

    config = shape.config()
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    for name, weight in model.named_parameters():
        norm = "norm" in name or ".ln_" in name
        noise = random(*weight.shape) * (0.3 * weight.shape[-1] ** 0.5 if norm else 1.2)
        weight.data = noise + 1 if norm and name.endswith("weight") and "gemma" not in config.model_type else noise
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    n_layers, d_model = config.num_hidden_layers, config.hidden_size
    del model
    (folder / "set").mkdir()
    kind = "transcoder_set" if shape.kind == "plt" else "cross_layer_transcoder"
    (folder / "set" / "config.yaml").write_text(f"model_kind: {kind}\nmodel_name: random\n{HOOKS}")
    for layer in range(n_layers):
        encoder = {
            "W_enc": random(shape.features, d_model),
            "b_enc": torch.full((shape.features,), BIAS),
            "b_dec": random(d_model),
        }
        if shape.kind == "plt":
            _save(encoder | {"W_dec": random(shape.features, d_model)}, folder / "set" / f"layer_{layer}.safetensors")
            continue
        encoder = {f"{name}_{layer}": tensor for name, tensor in encoder.items()}
        _save(encoder, folder / "set" / f"W_enc_{layer}.safetensors")
        decoder = {f"W_dec_{layer}": random(shape.features, n_layers - layer, d_model)}
        _save(decoder, folder / "set" / f"W_dec_{layer}.safetensors")


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.cpu() for name, tensor in tensors.items()}, path)

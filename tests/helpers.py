"""Tiny random models of the supported families, with a tokenizer, deterministic.

They are on the CPU, or where HYPOGRAPH_TEST_DEVICE says: the engine's own tests also run on a GPU so (README, Limits).
"""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.modeling_utils import PreTrainedModel

from lab import Person, Role
from tracer.features.files import TranscoderFiles, open_transcoders
from tracer.features.neurons import NeuronBasis
from tracer.model.anatomy import Anatomy
from tracer.model.load import transcoder_basis
from tracer.replacement import ReplacementModel

DEVICE = os.environ.get("HYPOGRAPH_TEST_DEVICE", "cpu")
REPEATED = 0 if DEVICE == "cpu" else 1e-6  # how far the edges of a repeated trace may be: a GPU sums in no fixed order
VOCAB = 61
WORDS = ["<bos>", "<unk>"] + [f"w{i}" for i in range(VOCAB - 2)]
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
PROMPT = " ".join(f"w{i}" for i in (4, 9, 2, 33, 17, 5, 40, 8))


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; adds <bos> (id 0)."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", unk_token="<unk>")


def tiny_llama(biased: bool = False, seed: int = 0, n_layers: int = 3) -> PreTrainedModel:
    """Grouped KV heads; `biased` adds biases to attention and MLP."""
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        attention_bias=biased,
        mlp_bias=biased,
    )
    return _randomised(LlamaForCausalLM(config), seed)


def wide_llama(n_neurons: int, n_layers: int) -> PreTrainedModel:
    """Small, but a trace of many words takes seconds, and so do examples of its neurons (`n_neurons` a layer)."""
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=n_neurons,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    return LlamaForCausalLM(config).eval()


def tiny_gemma3(seed: int = 0, n_layers: int = 3) -> PreTrainedModel:
    """Post-norms, scaled embeddings, a sliding window shorter than the prompt, one KV head, tied unembedding."""
    config = Gemma3TextConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=12,
        query_pre_attn_scalar=12,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"][:n_layers],
        max_position_embeddings=256,
    )
    return _randomised(Gemma3ForCausalLM(config), seed)


def tiny_gemma2(seed: int = 0) -> PreTrainedModel:
    """Post-norms, a sliding window, softcaps on attention and logits."""
    config = Gemma2Config(
        **SIZES,
        num_key_value_heads=2,
        head_dim=12,
        query_pre_attn_scalar=12,
        sliding_window=4,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    return _randomised(Gemma2ForCausalLM(config), seed)


def tiny_gemma3_with_images(seed: int = 0) -> PreTrainedModel:
    """As the sizes from 4B on are published: the language model beside one for images."""
    text = SIZES | {"num_key_value_heads": 2, "head_dim": 12, "query_pre_attn_scalar": 12, "sliding_window": 4}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(text_config=text, vision_config=vision | {"image_size": 28, "patch_size": 14})
    return _randomised(Gemma3ForConditionalGeneration(config), seed)


def tiny_qwen2(seed: int = 0) -> PreTrainedModel:
    """Biases on queries, keys and values."""
    return _randomised(Qwen2ForCausalLM(Qwen2Config(**SIZES, num_key_value_heads=2)), seed)


def tiny_qwen3(seed: int = 0) -> PreTrainedModel:
    """Norms on queries and keys."""
    return _randomised(Qwen3ForCausalLM(Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=12)), seed)


def tiny_gpt2(seed: int = 0) -> PreTrainedModel:
    """LayerNorm with biases, learned positions, an ungated MLP, transposed and fused matrices."""
    config = GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=3, n_head=4, n_inner=48, n_positions=256)
    return _randomised(GPT2LMHeadModel(config), seed)


FAMILIES = {
    "llama": lambda: tiny_llama(),
    "llama with biases": lambda: tiny_llama(biased=True),
    "gemma2": lambda: tiny_gemma2(),
    "gemma3": lambda: tiny_gemma3(),
    "gemma3 with images": lambda: tiny_gemma3_with_images(),
    "qwen2": lambda: tiny_qwen2(),
    "qwen3": lambda: tiny_qwen3(),
    "gpt2": lambda: tiny_gpt2(),
}


def transcoders(
    folder: Path,
    model: PreTrainedModel,
    kind: str = "plt",
    activation: str = "relu",
    skip: bool = False,
    reads: str = "mlp.hook_in",
    writes: str = "mlp.hook_out",
    n_features: int = 40,
) -> TranscoderFiles:
    """A random set for a model, in circuit-tracer's own layout."""
    text = model.config.get_text_config()
    n_layers, d_model = text.num_hidden_layers, text.hidden_size
    generator = torch.Generator().manual_seed(n_layers)
    folder.mkdir(parents=True)
    config = {
        "model_kind": "transcoder_set" if kind == "plt" else "cross_layer_transcoder",
        "model_name": "tiny",
        "feature_input_hook": reads,
        "feature_output_hook": writes,
    } | ({"activation": "topk", "k": 5} if activation == "topk" else {})
    (folder / "config.yaml").write_text("\n".join(f"{name}: {value}" for name, value in config.items()))

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / d_model**0.5

    for layer in range(n_layers):
        encoder = {"W_enc": random(n_features, d_model), "b_enc": random(n_features), "b_dec": random(d_model)}
        if kind == "plt":
            encoder["W_dec"] = random(n_features, d_model)
            encoder |= {"W_skip": random(d_model, d_model)} if skip else {}
            encoder |= {"activation_function.threshold": random(n_features).abs()} if activation == "jumprelu" else {}
            save_file(encoder, folder / f"layer_{layer}.safetensors")
        else:
            encoder |= {"threshold": random(n_features).abs()} if activation == "jumprelu" else {}
            named = {f"{name}_{layer}": tensor for name, tensor in encoder.items()}
            save_file(named, folder / f"W_enc_{layer}.safetensors")
            decoder = {f"W_dec_{layer}": random(n_features, n_layers - layer, d_model)}
            save_file(decoder, folder / f"W_dec_{layer}.safetensors")
    return open_transcoders(str(folder), folder)


def with_transcoders(model: PreTrainedModel, files: TranscoderFiles) -> ReplacementModel:
    anatomy = Anatomy(model)
    return ReplacementModel(anatomy, transcoder_basis(anatomy, files), tokenizer(), "tiny", "0" * 64)


def replacement(model: PreTrainedModel) -> ReplacementModel:
    anatomy = Anatomy(model)
    return ReplacementModel(anatomy, NeuronBasis(anatomy), tokenizer(), "tiny", "0" * 64)


def _randomised(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Weights large enough that attention is not uniform and norms matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        norm = "norm" in name or ".ln_" in name
        spread = 0.3 if norm or name.endswith("bias") else 1.2 / parameter.shape[-1] ** 0.5
        noise = spread * torch.randn(parameter.shape, generator=generator)
        plain_norm = norm and name.endswith("weight") and "gemma" not in type(model).__name__.lower()
        parameter.data = noise + 1 if plain_norm else noise
    model.set_attn_implementation("eager")
    return model.eval().to(DEVICE)


def saved(model: PreTrainedModel, folder: Path) -> Path:
    """A folder in Hugging Face layout, with the tokenizer."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def somebody(name: str, role: Role = Role.ADMIN) -> Person:
    """For a service, which asks no record who that is."""
    return Person(name, name, role)

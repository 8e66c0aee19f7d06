"""Tiny random models of the supported families, with a tokenizer, deterministic."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.modeling_utils import PreTrainedModel

from tracer.features.neurons import NeuronBasis
from tracer.model.anatomy import Anatomy
from tracer.replacement import ReplacementModel

VOCAB = 61
WORDS = ["<bos>", "<unk>"] + [f"w{i}" for i in range(VOCAB - 2)]
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


FAMILIES = {
    "llama": lambda: tiny_llama(),
    "llama with biases": lambda: tiny_llama(biased=True),
    "gemma3": lambda: tiny_gemma3(),
}


def replacement(model: PreTrainedModel) -> ReplacementModel:
    anatomy = Anatomy(model)
    return ReplacementModel(anatomy, NeuronBasis(anatomy), tokenizer(), "tiny", "0" * 64)


def _randomised(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Weights large enough that attention is not uniform and norms matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        spread = 0.3 if "norm" in name or name.endswith("bias") else 1.2 / parameter.shape[-1] ** 0.5
        noise = spread * torch.randn(parameter.shape, generator=generator)
        plain_norm = "norm" in name and "gemma" not in type(model).__name__.lower()
        parameter.data = noise + 1 if plain_norm else noise
    model.config._attn_implementation = "eager"
    return model.eval()


def saved(model: PreTrainedModel, folder: Path) -> Path:
    """A folder in Hugging Face layout, with the tokenizer."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder

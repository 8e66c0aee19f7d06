"""A real, tiny Llama in a GGUF file, cut into chunks that lie in folders like installed packages."""

import hashlib
from pathlib import Path

import gguf
import numpy as np

from tracer.presets import GgufPackage, Licence, Preset

LAYERS, WIDTH, MLP, HEADS, KV_HEADS = 2, 32, 48, 4, 2
MERGES = ["t h", "th e", "Ġ the", "c a", "ca t", "Ġ cat"]
PARTS = 3


def preset(packages: Path, size_gb: float = 1e-6, name: str = "tiny") -> Preset:
    """The packages, made under `packages` (a folder that the caller puts on sys.path), and a preset that names them."""
    whole = packages / "whole.gguf"
    packages.mkdir(parents=True, exist_ok=True)
    write(whole)
    data = whole.read_bytes()
    whole.unlink()
    files = []
    step = len(data) // PARTS + 1
    for part in range(PARTS):
        folder = packages / f"tiny_gguf_part{part}"
        folder.mkdir()
        (folder / "__init__.py").write_text("raise ImportError('this package is to be found, not imported')\n")
        (folder / "data").mkdir()
        (folder / "data" / f"tiny.gguf.part{part}").write_bytes(data[part * step : (part + 1) * step])
        files.append(f"{folder.name}:data/tiny.gguf.part{part}")
    return Preset(
        name=name,
        hub_id="nobody/tiny",
        package=GgufPackage("tiny_gguf_part0", "tiny-gguf==1", tuple(files), hashlib.sha256(data).hexdigest(), "here"),
        size_gb=size_gb,
        terms=Licence("MIT", "", gated=False),
        note="",
    )


def chunk(packages: Path, part: int) -> Path:
    return packages / f"tiny_gguf_part{part}" / "data" / f"tiny.gguf.part{part}"


def write(path: Path) -> None:
    """Half-precision matrices, float32 norms, tied unembedding, a byte-level BPE of 256 bytes and six merges."""
    tokens = ["<|end|>", *_bytes(), *(merge.replace(" ", "") for merge in MERGES)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(tokens) - 1))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    random = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(name, (random.normal(size=(rows, columns)) / columns**0.5).astype(np.float16))

    def norm(name: str) -> None:
        writer.add_tensor(name, (1 + 0.1 * random.normal(size=WIDTH)).astype(np.float32))

    matrix("token_embd.weight", len(tokens), WIDTH)
    norm("output_norm.weight")
    for layer in range(LAYERS):
        norm(f"blk.{layer}.attn_norm.weight")
        norm(f"blk.{layer}.ffn_norm.weight")
        matrix(f"blk.{layer}.attn_q.weight", WIDTH, WIDTH)
        matrix(f"blk.{layer}.attn_k.weight", WIDTH // HEADS * KV_HEADS, WIDTH)
        matrix(f"blk.{layer}.attn_v.weight", WIDTH // HEADS * KV_HEADS, WIDTH)
        matrix(f"blk.{layer}.attn_output.weight", WIDTH, WIDTH)
        matrix(f"blk.{layer}.ffn_gate.weight", MLP, WIDTH)
        matrix(f"blk.{layer}.ffn_up.weight", MLP, WIDTH)
        matrix(f"blk.{layer}.ffn_down.weight", WIDTH, MLP)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _bytes() -> list[str]:
    """The 256 letters by which a byte-level BPE writes bytes: printable ones as they are, the rest from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(rest))]

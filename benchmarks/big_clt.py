"""Does a cross-layer transcoder of a million features trace within 3 GB of memory?

    python benchmarks/big_clt.py            makes the set on disk once (9 GB, under benchmarks/scratch), then traces
    python benchmarks/big_clt.py --quick    a small set: does the script run?

The model is a random Llama of four layers: what is measured is the set, which is read row by row. Everything is fixed
by SEED. The trace runs in a process of its own, whose peak is the system's own figure.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SCRATCH = Path(__file__).parent / "scratch"
SEED = 0
LAYERS, D_MODEL, TOKENS = 4, 640, 12
FEATURES, QUICK_FEATURES = 250_000, 500  # a layer
BIAS, QUICK_BIAS = -3.9, -1.5  # of the encoders: some dozen active features a token
ROWS = 10_000  # written at a time
LIMIT_GB = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Memory of a trace with a cross-layer transcoder of a million features."
    )
    parser.add_argument("--quick", action="store_true", help="a small set")
    parser.add_argument("--trace", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.trace:  # this is the fresh process that main starts
        print(json.dumps(trace(arguments.trace)))
        return
    n_features, bias = (QUICK_FEATURES, QUICK_BIAS) if arguments.quick else (FEATURES, BIAS)
    folder = SCRATCH / f"clt-{LAYERS * n_features}"
    if not (folder / "set" / "config.yaml").exists():
        make(folder, n_features, bias)
    size = sum(path.stat().st_size for path in (folder / "set").iterdir())
    print(f"{datetime.date.today()}: python {' '.join(sys.argv)}; torch {torch.__version__}, {os.cpu_count()} cores")
    print(f"{LAYERS * n_features:,} features in {LAYERS} layers, {size / 1e9:.1f} GB on disk, {TOKENS} tokens")
    command = [sys.executable, __file__, "--trace", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    print(f"{result['active']:,} active features, row error {result['row_error']:.0e}")
    print(f"loaded in {result['load']:.1f} s, traced in {result['trace']:.1f} s")
    peak = result["peak"] / 1e9
    print(
        f"peak memory {peak:.2f} GB of the process (limit {LIMIT_GB:g} GB): {'within' if peak <= LIMIT_GB else 'OVER'}"
    )


def trace(folder: Path) -> dict[str, float]:
    """Load and trace; the peak resident bytes of this process."""
    import tracer

    begin = time.perf_counter()
    model = tracer.load(str(folder / "model"), features=str(folder / "set"), device="cpu")
    loaded = time.perf_counter()
    graph = model.trace(tokens=list(range(1, TOKENS + 1)), max_logits=3)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    times = {"load": loaded - begin, "trace": done - loaded}
    return times | {"active": graph.meta["n_active"], "row_error": graph.row_error, "peak": peak}


def make(folder: Path, n_features: int, bias: float) -> None:
    """A random model and a random set for it, in circuit-tracer's layout; config.yaml comes last."""
    from tests.helpers import tokenizer

    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=61, hidden_size=D_MODEL, intermediate_size=D_MODEL, num_hidden_layers=LAYERS, num_attention_heads=8
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    (folder / "set").mkdir(parents=True, exist_ok=True)
    for layer in range(LAYERS):
        print(f"writing layer {layer} of {LAYERS}…", flush=True)
        shapes = {"W_enc": (n_features, D_MODEL), "b_enc": (n_features,), "b_dec": (D_MODEL,)}
        named = {f"{name}_{layer}": shape for name, shape in shapes.items()}
        write_random(folder / "set" / f"W_enc_{layer}.safetensors", named, {f"b_enc_{layer}": bias})
        decoder = {f"W_dec_{layer}": (n_features, LAYERS - layer, D_MODEL)}
        write_random(folder / "set" / f"W_dec_{layer}.safetensors", decoder, {})
    (folder / "set" / "config.yaml").write_text(
        "model_kind: cross_layer_transcoder\nmodel_name: random\n"
        "feature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n"
    )


def write_random(path: Path, shapes: dict[str, tuple[int, ...]], constants: dict[str, float]) -> None:
    """A safetensors file of random float32 rows of length about 1, written in blocks: it need not fit into memory."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * torch.Size(shape).numel()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            for start in range(0, shape[0], ROWS):
                block = (min(ROWS, shape[0] - start), *shape[1:])
                values = torch.full(block, constants[name]) if name in constants else torch.randn(block) / D_MODEL**0.5
                file.write(values.numpy().tobytes())


if __name__ == "__main__":
    main()

"""The engine on a GPU: is it what the CPU gives, how fast, in how much memory, and what comes when there is none left?

    python benchmarks/gpu.py                            every part, some minutes; writes 15 GB to benchmarks/scratch
    python benchmarks/gpu.py --parts exact memory       some of the parts
    python benchmarks/gpu.py --device cpu --quick       a tiny model: does the script run?

Models are random, in published
shapes (random_models.py), SEED and prompt are fixed. A part that fails is told and does not stop the others. Exits 1 if
one failed.
"""

import argparse
import gc
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import numpy as np
import torch

import tracer
from benchmarks.measure import PeakMemory, print_machine
from benchmarks.random_models import SHAPES, TINY, make
from tracer import Edit, Graph, ReplacementModel
from tracer.errors import OutOfMemory
from tracer.steering.controls import matched

SEED, TOKENS, CONTROLS, WORDS, RUNS = 0, 64, 200, 32, 2
WORDS_CPU = 8
GB = 1e9


class Bench:
    """Where it runs, and what was found."""

    def __init__(self, device: torch.device, scratch: Path, quick: bool) -> None:
        self.device, self.scratch, self.quick = device, scratch, quick
        self.rows: list[dict[str, Any]] = []
        self.failures: list[str] = []

    def row(self, part: str, what: str, **figures: Any) -> None:
        self.rows.append({"part": part, "what": what, **figures})
        text = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
        print(f"{part:9}{what}: {text}", flush=True)

    def attempt(self, what: str, work: Callable[[], None]) -> None:
        begin = time.perf_counter()
        try:
            work()
        except Exception:
            self.failures.append(f"{what}\n{traceback.format_exc()}")
            print(f"FAILED   {what}\n{self.failures[-1]}", flush=True)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"         [{what}: {time.perf_counter() - begin:.1f} s]", flush=True)

    def folder(self, name: str) -> Path:
        return self.scratch / name

    def load(self, shape: str, features: str = "neurons", **options: Any) -> ReplacementModel:
        folder = self.folder(shape)
        options = {"device": str(self.device), "store": self.scratch, **options}
        return tracer.load(str(folder / "model"), str(folder / "set") if features == "set" else features, **options)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the engine on a GPU.")
    parser.add_argument("--device", default="cuda", help="a torch device")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--scratch", type=Path, default=Path(__file__).parent / "scratch" / "random")
    parser.add_argument("--out", type=Path, help="a file for the figures, as JSON")
    parser.add_argument("--quick", action="store_true", help="a tiny model")
    arguments = parser.parse_args()
    bench = Bench(torch.device(arguments.device), arguments.scratch, arguments.quick)
    print_machine("random models")
    if bench.device.type == "cuda":
        print(torch.cuda.get_device_name(bench.device), f"{torch.cuda.mem_get_info(bench.device)[1] / GB:.0f} GB")
    shapes = TINY if arguments.quick else {name: SHAPES[name] for name in arguments.shapes}
    shutil.rmtree(bench.scratch, ignore_errors=True)
    for name, shape in shapes.items():
        bench.attempt(f"make {name}", partial(make, shape, bench.folder(name), bench.device))
    for part in arguments.parts:
        for name in shapes:
            PARTS[part](bench, name)
    if arguments.out:
        found = {"device": str(bench.device), "rows": bench.rows, "failures": bench.failures}
        arguments.out.write_text(json.dumps(found, indent=1))
    print(f"{len(bench.failures)} failed: {[failure.splitlines()[0] for failure in bench.failures]}")
    return 1 if bench.failures else 0


def prompt(model: ReplacementModel, n: int = TOKENS) -> list[int]:
    """<bos>, then random ids."""
    drawn = np.random.default_rng(SEED).integers(2, model.vocab_size, n - 1)
    return [0, *drawn.tolist()]


def an_edit(model: ReplacementModel) -> Edit:
    return Edit(model.n_layers // 2, -1, 7, value=3.0)


@contextmanager
def peak(bench: Bench, found: dict[str, Any], device: torch.device | None = None) -> Iterator[None]:
    """`found` gets the most memory that was taken, in GB: of a GPU what torch allocated, else resident memory."""
    device = device or bench.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        loaded = torch.cuda.memory_allocated(device)
        yield
        most = torch.cuda.max_memory_allocated(device)
    else:
        with PeakMemory() as memory:
            loaded = memory.loaded
            yield
        most = memory.peak
    found |= {"loaded_gb": loaded / GB, "peak_gb": most / GB}


# Exactness


def exact(bench: Bench, shape: str) -> None:
    """Against the CPU, both with float32 weights."""
    for features in ("neurons", "set"):
        if (shape, features) != ("gemma-2-2b", "set"):  # minutes on the CPU
            bench.attempt(f"exact {shape} {features}", partial(exact_one, bench, shape, features))


def exact_one(bench: Bench, shape: str, features: str) -> None:
    here = bench.load(shape, features, dtype="float32")
    there = bench.load(shape, features, dtype="float32", device="cpu")
    ids, edit = prompt(here, 16), an_edit(here)
    one, other = (model.trace(tokens=ids, max_nodes=500) for model in (here, there))
    again = here.trace(tokens=ids, max_nodes=500)
    conditions = [[edit], [Edit(1, 5, 9, value=3.0)]]
    runs = zip(*(list(m.steer_many(tokens=ids, conditions=conditions)) for m in (here, there)), strict=True)
    said = [[t.id for t in m.generate(tokens=ids, conditions=[[edit]], n_tokens=8)] for m in (here, there)]
    bench.row(
        "exact",
        f"{shape} {features}",
        row_error=one.row_error,
        row_error_cpu=other.row_error,
        **agreement(one, other),
        differs_when_repeated=(one.adjacency != again.adjacency).nnz if shared(one, again).all() else "other nodes",
        logits=max(float((a.logits - b.logits).abs().max()) for a, b in runs),
        same_text=said[0] == said[1],
    )


def shared(one: Graph, other: Graph) -> np.ndarray:
    """(N,) bool: which feature nodes of the one the other has."""
    names = set(other.ids[: other.layout.n_features])
    return np.array([name in names for name in one.ids[: one.layout.n_features]])


def agreement(one: Graph, other: Graph) -> dict[str, float]:
    """Of the features that both chose, of tokens and logits: the largest gap of an edge, as a share of the largest."""
    both = [i for i, kept in enumerate(shared(one, other)) if kept]
    rest = [*range(one.layout.first_embedding, one.layout.first_logit)]
    rows = [*range(one.layout.first_logit, one.layout.first_bias)]
    names = [one.ids[i] for i in [*both, *rest, *rows]]
    mine, theirs = ([graph.index[name] for name in names] for graph in (one, other))
    a, b = one.adjacency[mine][:, mine], other.adjacency[theirs][:, theirs]
    return {"nodes_in_common": len(both) / one.layout.n_features, "edges": float(abs(a - b).max() / abs(b).max())}


# Weights that stay on the disk, and their dtypes


def offload(bench: Bench, shape: str) -> None:
    bench.attempt(f"offload {shape}", partial(offload_one, bench, shape))


def offload_one(bench: Bench, shape: str) -> None:
    graphs, logits = [], []
    for kept in (False, True):
        found: dict[str, Any] = {}
        with peak(bench, found):
            begin = time.perf_counter()
            model = bench.load(shape, dtype="bfloat16", offload=kept)
            found["load_s"] = time.perf_counter() - begin
            ids = prompt(model)
            graphs.append(model.trace(tokens=ids, max_nodes=500))
            logits.append(model.steer(tokens=ids, edits=[an_edit(model)]).logits)
        begin = time.perf_counter()
        model.trace(tokens=ids, max_nodes=500)
        found["trace_s"] = time.perf_counter() - begin
        bench.row("offload", f"{shape} {'on the disk' if kept else 'on the device'}", **found)
        del model
        gc.collect()
    bench.row("offload", shape, **agreement(*graphs), logits=float((logits[0] - logits[1]).abs().max()))


def dtypes(bench: Bench, shape: str) -> None:
    for dtype in ("float32", "bfloat16", "float16", "auto"):
        bench.attempt(f"dtypes {shape} {dtype}", partial(dtype_one, bench, shape, dtype))


def dtype_one(bench: Bench, shape: str, dtype: str) -> None:
    found: dict[str, Any] = {}
    with peak(bench, found):
        model = bench.load(shape, dtype=dtype, **({"device": "auto"} if dtype == "auto" else {}))
        graph = model.trace(tokens=prompt(model, 16), max_nodes=500)
    kept = {str(p.dtype).removeprefix("torch.") for p in model.anatomy.model.parameters()}
    bench.row("dtypes", f"{shape} {dtype}", kept="+".join(kept), row_error=graph.row_error, **found)


# Speed


def speed(bench: Bench, shape: str) -> None:
    """As published (bfloat16)."""
    bench.attempt(f"speed {shape}", partial(speeds, bench, shape, bench.device, ("neurons", "set")))


def cpu(bench: Bench, shape: str) -> None:
    """The same on the CPU of the machine, as weights are there (float32); each thing once."""
    if bench.device.type != "cpu":
        bench.attempt(f"cpu {shape}", partial(speeds, bench, shape, torch.device("cpu"), ("neurons",)))


def speeds(bench: Bench, shape: str, device: torch.device, kinds: tuple[str, ...]) -> None:
    model = None
    for features in kinds:
        begin = time.perf_counter()
        model = bench.load(shape, features, device=str(device), reuse=model)
        times(bench, model, f"{shape} {features} {device}", device, time.perf_counter() - begin)


def times(bench: Bench, model: ReplacementModel, name: str, device: torch.device, load_s: float) -> None:
    ids = prompt(model)
    once = device.type == "cpu"
    runs, found = [], {"load_s": load_s}
    with peak(bench, found, device):
        for _ in range(1 if once else 1 + RUNS):
            graph = model.trace(tokens=ids)
            runs.append(graph.meta["seconds"])
    phases = min(runs[1:] or runs, key=lambda seconds: sum(seconds.values()))  # after one that warms up
    found |= {"trace_s": sum(phases.values())} | phases
    rate = graph.meta["sweep_operations"] / phases["sweep"] / 1e12
    sizes = {"nodes": graph.layout.n_features, "active": graph.meta["n_active"], "edges": graph.adjacency.nnz}
    bench.row("trace", name, **found, tflops=rate, row_error=graph.row_error, **sizes)
    edit, found = an_edit(model), {}
    n, repeats = 10 if bench.quick else CONTROLS, range(1 if once else 2)
    controls = [c.prompts[0] for c in matched(model, [ids], [edit], "directions", n=n, seed=SEED).sets]
    with peak(bench, found, device):
        seconds = [clock(lambda: list(model.steer_many(tokens=ids, conditions=controls))) for _ in repeats]
        one = [clock(lambda: model.steer(tokens=ids, edits=[edit])) for _ in repeats]
    bench.row("steer", name, controls=len(controls), seconds=min(seconds), one_edit_s=min(one), **found)
    words = 4 if bench.quick else WORDS_CPU if once else WORDS
    going_on = [[replace(edit, position=slice(-1, None))]]
    rates = [rate_of(lambda: list(model.generate(tokens=ids, conditions=going_on, n_tokens=words))) for _ in repeats]
    plain_rates = [rate_of(partial(plain_text, model, ids, words)) for _ in repeats]
    bench.row("text", name, tokens_per_s=max(rates), plain_generate=max(plain_rates))


def plain_text(model: ReplacementModel, ids: list[int], n: int) -> list[int]:
    """What the library's own generate says, with no stop token."""
    given = torch.tensor([ids], device=model.device)
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "attention_mask": torch.ones_like(given)}
    return model.anatomy.model.generate(given, max_new_tokens=n, **options)[0, len(ids) :].tolist()


def clock(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def rate_of(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    return len(work()) / (time.perf_counter() - begin)


# When there is no memory left


def memory(bench: Bench, shape: str) -> None:
    """Whether each refusal says what to do, and gives everything back although its exception is kept."""
    if bench.device.type != "cuda":
        return
    size = sum(path.stat().st_size for path in (bench.folder(shape) / "model").glob("*.safetensors"))
    bench.attempt(f"memory {shape} load", partial(load_in, bench, shape, size * 0.6))
    bench.attempt(f"memory {shape} load, no room to check", partial(load_in, bench, shape, size * 1.15))
    bench.attempt(f"memory {shape} work", partial(work_in, bench, shape))
    bench.attempt(f"memory {shape} offload", partial(offload_in, bench, shape, max(size * 1.15, 1.5 * GB)))


@contextmanager
def only(bench: Bench, free: float) -> Iterator[None]:
    """All of the GPU's memory taken but for so many bytes."""
    gc.collect()
    torch.cuda.empty_cache()
    ballast = torch.empty(int(torch.cuda.mem_get_info(bench.device)[0] - free), dtype=torch.uint8, device=bench.device)
    try:
        yield
    finally:
        del ballast
        torch.cuda.empty_cache()


def refused(bench: Bench, what: str, work: Callable[[], object]) -> None:
    before, kept = torch.cuda.memory_allocated(), None
    try:
        work()
    except OutOfMemory as problem:
        kept = problem  # as a notebook does
    after = torch.cuda.memory_allocated()
    if kept is None:
        raise AssertionError(f"{what} was not refused")
    bench.row("memory", what, still_held_mb=(after - before) / 1e6, message=str(kept))
    if after - before > 50e6:  # cuBLAS keeps some
        raise AssertionError(f"{(after - before) / 1e6:.0f} MB were not given back")


def load_in(bench: Bench, shape: str, free: float) -> None:
    with only(bench, free):
        refused(bench, f"{shape} load with {free / GB:.1f} GB", lambda: bench.load(shape, dtype="bfloat16"))


def offload_in(bench: Bench, shape: str, free: float) -> None:
    with only(bench, free):
        model = bench.load(shape, dtype="bfloat16", offload=True)
        error = model.trace(tokens=prompt(model), max_nodes=500).row_error
        bench.row("memory", f"{shape} offload with {free / GB:.1f} GB: loads and traces", row_error=error)


def work_in(bench: Bench, shape: str) -> None:
    model = bench.load(shape, dtype="bfloat16")
    ids, edit = prompt(model), an_edit(model)
    whole = model.trace(tokens=ids, max_nodes=500)
    controls = [[Edit(1, 1, f, value=3.0)] for f in range(CONTROLS)]
    with only(bench, 0.1 * GB):
        refused(bench, f"{shape} trace", lambda: model.trace(tokens=ids, max_nodes=500))
        refused(bench, f"{shape} controls", lambda: list(model.steer_many(tokens=ids, conditions=controls)))
        refused(bench, f"{shape} text", lambda: list(model.generate(tokens=ids, conditions=[[edit]])))
    again = model.trace(tokens=ids, max_nodes=500)
    bench.row("memory", f"{shape} afterwards", **agreement(again, whole), dtype=str(model.dtype))


PARTS: dict[str, Callable[[Bench, str], None]] = {
    "exact": exact,
    "offload": offload,
    "dtypes": dtypes,
    "speed": speed,
    "memory": memory,
    "cpu": cpu,
}

if __name__ == "__main__":
    sys.exit(main())

"""How fast feature dashboards are built, against the bare forward pass of the same contexts.

    python benchmarks/dashboards.py            64 of the corpus' contexts, a minute
    python benchmarks/dashboards.py --whole    all of them, as at the first start, once
    python benchmarks/dashboards.py --quick    a few small ones: does the script run?

The ratio is one within a run: batches of the build and of the pass take turns, so that another process disturbs both
alike. Seconds are those of this machine, and CPU seconds are of all its threads; the load is printed.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import torch
from torch import Tensor

import tracer
from benchmarks.measure import PeakMemory, print_machine, table, title
from tracer import ReplacementModel
from tracer.dashboards import corpus
from tracer.dashboards.build import build, contexts_at_once
from tracer.dashboards.tally import BYTES_A_FEATURE

CONTEXTS, QUICK_CONTEXTS = 64, 6
BUDGET = 180.0  # seconds, for the whole corpus


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the build of feature dashboards.")
    parser.add_argument("--model", default="gemma-3-270m", help="preset, folder or Hub id")
    parser.add_argument("--store", type=Path, help="folder of converted weights (default: the tracer's own)")
    parser.add_argument("--corpus", type=Path, default=corpus.BUNDLED, help="text, JSON lines (default: ours)")
    parser.add_argument("--whole", action="store_true", help="also build the whole corpus")
    parser.add_argument("--quick", action="store_true", help="a few contexts")
    arguments = parser.parse_args()
    model = tracer.load(arguments.model, store=arguments.store)
    rows = corpus.contexts(arguments.corpus, model)
    print_machine(arguments.model)
    size = BYTES_A_FEATURE * model.basis.n_features * model.n_layers
    print(f"{model.n_layers} layers of {model.basis.n_features:,} features: {size / 1e6:,.0f} MB are kept of them")
    part = rows[: QUICK_CONTEXTS if arguments.quick else CONTEXTS]
    print_ratio(model, part)
    if arguments.whole or arguments.quick:
        print_whole(model, part if arguments.quick else rows)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def print_ratio(model: ReplacementModel, rows: Tensor) -> None:
    title(f"{len(rows)} contexts of {rows.shape[1]} tokens, {contexts_at_once(model, rows.shape[1])} at once, in turns")
    passes, steps = Clock(), Clock()
    at_once = contexts_at_once(model, rows.shape[1])

    def step(_phase: str, share: float) -> None:
        """Between two batches of the build: the next batch through the bare model."""
        steps.stop()
        done = round(share * len(rows))
        if done < len(rows):
            with passes:
                bare(model, rows[done : done + at_once])
        steps.start()

    bare(model, rows[:at_once])
    with tempfile.TemporaryDirectory() as folder:
        steps.start()
        build(model, rows, Path(folder), step)
        steps.stop()
    table("", "seconds", "CPU s", "tokens/s")
    for name, clock in (("pass", passes), ("build", steps)):
        table(name, f"{clock.seconds:.1f}", f"{clock.cpu:.1f}", f"{rows.numel() / clock.seconds:,.0f}")
    print(f"the build takes {steps.seconds / passes.seconds:.2f} times as long as the pass alone")


def print_whole(model: ReplacementModel, rows: Tensor) -> None:
    title(f"The whole corpus: {len(rows)} contexts, {rows.numel():,} tokens, once, as at a first start")
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory, Clock() as clock:
        build(model, rows, Path(folder))
    table("seconds", "CPU s", "tokens/s", "peak MB", "over model")
    sizes = f"{memory.peak / 1e6:,.0f}", f"{(memory.peak - memory.loaded) / 1e6:,.0f}"
    table(f"{clock.seconds:.1f}", f"{clock.cpu:.1f}", f"{rows.numel() / clock.seconds:,.0f}", *sizes)
    print(
        f"(budget {BUDGET:.0f} s for gemma-3-270m and the corpus that comes along, on 2 cores with nothing else to do)"
    )


class Clock:
    """Adds up seconds, by the wall and of all threads' work, over its stretches."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def start(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.seconds += time.perf_counter() - self._began[0]
        self.cpu += time.process_time() - self._began[1]

    def __enter__(self) -> "Clock":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@torch.no_grad()
def bare(model: ReplacementModel, batch: Tensor) -> None:
    """The pass of a model that only has to answer: all layers, and the logits of the last token."""
    with model.anatomy.lock:
        model.anatomy.model(input_ids=batch.to(model.device), use_cache=False, logits_to_keep=1)


if __name__ == "__main__":
    main()

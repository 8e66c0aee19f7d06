"""What a batch costs in one process and over two Ray workers of this machine: prompts a second, overhead a prompt.

    python benchmarks/batch.py            about four minutes
    python benchmarks/batch.py --quick    few prompts, few nodes: does the script run?

The fixed part: 16 prompts of seven to nine tokens, 1,000 nodes, the model's likeliest tokens as targets; nothing is
random. One process has all threads, two workers have half of them each. Loading the model is told apart. Overhead is
what the workers' time in tracing leaves of the whole: the way to the worker and back, and writing the folder.

Columns: seconds until the workers are there and have loaded the model; of the batch; prompts a minute; median seconds
of a trace; overhead a prompt; a graph's size.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

from benchmarks.measure import print_machine, table, title
from service.batches.folder import Asked, Settings
from service.batches.over_ray import Cluster
from service.batches.run import prepare, run
from service.batches.worker import Worker
from service.batches.workers import Here, Workers
from tracer.errors import silent

NAMES = (
    "Michael Jordan", "Lionel Messi", "Tiger Woods", "Serena Williams", "Babe Ruth", "Tom Brady", "Roger Federer",
    "LeBron James", "Wayne Gretzky", "Usain Bolt", "Muhammad Ali", "Cristiano Ronaldo", "Rafael Nadal", "Pelé",
    "Simone Biles", "Mike Tyson",
)  # fmt: skip
TEMPLATE = "{} plays the sport of"
NODES, QUICK_NODES, QUICK_PROMPTS = 1_000, 20, 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a batch in one process and over Ray.")
    parser.add_argument("--model", default="gemma-3-270m", help="preset, folder or Hub id")
    parser.add_argument("--quick", action="store_true", help="few prompts, few nodes")
    arguments = parser.parse_args()
    names = NAMES[:QUICK_PROMPTS] if arguments.quick else NAMES
    settings = Settings(max_nodes=QUICK_NODES if arguments.quick else NODES)
    print_machine(arguments.model)
    title(f"{len(names)} prompts, {settings.max_nodes:,} nodes")
    table("", "loaded, s", "batch, s", "a minute", "trace, s", "over, s", "MB each")
    asked = [Asked(prompt=TEMPLATE.format(name)) for name in names]
    begun = time.perf_counter()
    one = print_batch("here", 1, Here(Worker(arguments.model, "neurons")), begun, asked, settings, arguments.model)
    begun = time.perf_counter()
    cluster = Cluster("local")
    try:
        actors = cluster.actors(arguments.model, "neurons", 2, None)
        two = print_batch("two workers", 2, actors, begun, asked, settings, arguments.model)
    finally:
        cluster.close()
    print(f"\ntwo workers: {one / two:.2f} times the throughput; load at the end {os.getloadavg()[0]:.1f}")


def print_batch(
    name: str, n: int, workers: Workers, begun: float, asked: list[Asked], settings: Settings, model: str
) -> float:
    """Seconds of the batch, the model loaded. A first prompt a worker is not counted: it loads, and warms up."""
    with tempfile.TemporaryDirectory() as scratch:
        warm = [Asked(prompt=f"{i} and {i}") for i in range(2 * n)]
        list(run(prepare(Path(scratch, "warm"), "Warm", (model, "neurons"), warm, settings, workers, silent), workers))
        ready = time.perf_counter()
        prepared = prepare(Path(scratch, "batch"), "Batch", (model, "neurons"), asked, settings, workers, silent)
        assert all(finished.error is None for finished in run(prepared, workers))
        seconds = time.perf_counter() - ready
        outcomes = [prepared.folder.outcome(item.key) for item in prepared.folder.items]
        traced = [outcome.seconds for outcome in outcomes if outcome is not None]
        sizes = [path.stat().st_size for path in (prepared.folder.path / "results").glob("*.safetensors")]
    table(
        name,
        f"{ready - begun:.1f}",
        f"{seconds:.1f}",
        f"{60 * len(asked) / seconds:.1f}",
        f"{statistics.median(traced):.2f}",
        f"{(n * seconds - sum(traced)) / len(asked):.3f}",
        f"{statistics.mean(sizes) / 1e6:.1f}",
    )
    return seconds


if __name__ == "__main__":
    main()

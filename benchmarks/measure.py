"""What the benchmarks share: the machine, tables, the fastest of some runs, peak memory, the rate of bare products."""

import datetime
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
import transformers

SEED = 0  # of the matrices that are multiplied to find the machine's rate
MATRIX_ROWS = 4096  # gradient vectors in one product


def print_machine(name: str) -> None:
    print(f"{name}, {datetime.date.today()}: python {' '.join(sys.argv)}")
    threads, gb = torch.get_num_threads(), psutil.virtual_memory().total / 1e9
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads} torch threads, {gb:.0f} GB;"
        f" load at the start {os.getloadavg()[0]:.1f}"
    )
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__},"
        f" numpy {np.__version__}"
    )


class PeakMemory:
    """The most resident bytes seen in a with block. Sampled: the system's own peak would include loading."""

    def __enter__(self) -> "PeakMemory":
        self.loaded = self.peak = psutil.Process().memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.005):
            self.peak = max(self.peak, process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


class Products:
    """The bare matrix products of a sweep, `torch.matmul` with W_O (D, H·d) and W_V (G·d, D), to find their rate."""

    def __init__(self, anatomy: Any) -> None:
        part, d_model = anatomy.layers[0], anatomy.d_model
        heads, values = part.n_heads * part.head_dim, part.n_kv_heads * part.head_dim
        generator = torch.Generator().manual_seed(SEED)
        shapes = [((MATRIX_ROWS, d_model), (d_model, heads)), ((MATRIX_ROWS, values), (values, d_model))]
        self.pairs = [[torch.randn(shape, generator=generator) for shape in pair] for pair in shapes]
        self.operations = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in self.pairs)

    def rate(self, operations: float) -> float:
        """Operations a second while at least so many are done."""
        repeats = max(1, round(operations / self.operations))
        begin = time.perf_counter()
        for _ in range(repeats):
            for a, b in self.pairs:
                torch.matmul(a, b)
        return repeats * self.operations / (time.perf_counter() - begin)


@dataclass
class Turn:
    """A run of what is measured between two stretches of bare products, each of as many operations."""

    seconds: float
    rate: float  # operations a second of the run
    products: float  # of the bare products, the mean of both stretches

    @property
    def share(self) -> float:
        return self.rate / self.products


def turns(anatomy: Any, operations: float, work: Callable[[], float], n: int) -> list[Turn]:
    """`work` returns its seconds. Turns, so that another process disturbs both alike; sorted by their share."""
    products, found = Products(anatomy), []
    for _ in range(n):
        before = products.rate(operations)
        seconds = work()
        found.append(Turn(seconds, operations / seconds, (before + products.rate(operations)) / 2))
    return sorted(found, key=lambda turn: turn.share)


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def title(text: str) -> None:
    print(f"\n{text}", flush=True)


def table(*cells: object) -> None:
    print("".join(f"{cell!s:>12}" for cell in cells), flush=True)

"""Pieces of work side by side on the CPU's cores.

A sweep's matrix products are small. Split between threads they wait for one another; whole, one thread each and several
of them at once, they keep the cores busy.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event, Lock

import torch

POLL = 0.05  # seconds between two reports of progress


class _Stopped(Exception):
    """Ends a piece of work that nobody waits for any more."""


def side_by_side(
    work: Callable[[int, Callable[[float], None]], None],
    pieces: Iterable[int],
    device: torch.device,
    progress: Callable[[float], None],
) -> None:
    """Call `work(piece, advance)` for each piece. `advance(amount)` is to be called often; `progress(sum)` hears of it.

    `progress` runs in this thread, and what it raises stops the others. Off the CPU there is one thread.
    """
    lock, stop, done = Lock(), Event(), 0.0

    def advance(amount: float) -> None:
        nonlocal done
        if stop.is_set():
            raise _Stopped
        with lock:
            done += amount

    n_threads = torch.get_num_threads() if device.type == "cpu" else 1
    on_cpu = {"initializer": torch.set_num_threads, "initargs": (1,)} if device.type == "cpu" else {}
    with ThreadPoolExecutor(n_threads, "sweep", **on_cpu) as pool:
        futures = [pool.submit(work, piece, advance) for piece in pieces]
        try:
            waiting = set(futures)
            while waiting:
                finished, waiting = wait(waiting, POLL, FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                progress(done)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(torch.get_num_threads())  # new threads of the process start with it

"""How much memory a GPU has to spare, and what happens when a device has none left: one line that says what to do, and
all that was taken given back.

An exception holds the frames that it came through, and a notebook holds the last exception: with torch's own, the
tensors of work that failed would stay where there was no room for them, and the next try would fail too. So ours is
raised when the other is gone.
"""

import ctypes
import gc
import inspect
import sys
from collections.abc import Callable, Generator
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch

from tracer.errors import OutOfMemory

P = ParamSpec("P")
T = TypeVar("T")


def gpu_share(device: torch.device, part: int) -> int | None:
    """Bytes: one part in so many of what is free on a GPU; None on other devices."""
    if device.type != "cuda":
        return None
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (torch.cuda.mem_get_info(device)[0] + cached) // part


def is_out_of_memory(problem: BaseException) -> bool:
    """By text where there is no type: torch raises RuntimeErrors of its own making, one a device."""
    text = str(problem).lower()
    told = ("out of memory", "can't allocate memory", "alloc_failed")  # the last one by cuBLAS
    return isinstance(problem, MemoryError) or (isinstance(problem, RuntimeError) and any(t in text for t in told))


def give_back() -> None:
    """Let others have what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Memory that was freed, and that the C library keeps for later, goes back to the system; where it can be told."""
    told = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # glibc's
    if told is not None:
        told(0)


def in_memory(work: Callable[P, T]) -> Callable[P, T]:
    """For a method of a replacement model, or a function whose first argument is one: OutOfMemory instead of torch's
    own error. For a generator: at each of its steps."""
    if inspect.isgeneratorfunction(work):

        @wraps(work)
        def steps(*arguments: Any, **options: Any) -> Generator[Any, None, Any]:
            try:
                return (yield from work(*arguments, **options))
            except Exception as problem:
                if not is_out_of_memory(problem):
                    raise
            raise _refusal(arguments[0].device)

        return cast(Callable[P, T], steps)

    @wraps(work)
    def whole(*arguments: Any, **options: Any) -> T:
        try:
            return work(*arguments, **options)
        except Exception as problem:
            if not is_out_of_memory(problem):
                raise
        raise _refusal(arguments[0].device)

    return whole


def _refusal(device: torch.device) -> OutOfMemory:
    give_back()
    return OutOfMemory(
        f"the memory of {device} ran out: trace fewer nodes or a shorter prompt, or load the model with its layers"
        f" on the disk (offload=True, HYPOGRAPH_OFFLOAD=1){or_cpu(device)}"
    )


def or_cpu(device: torch.device) -> str:
    """The last words of advice."""
    return "" if device.type == "cpu" else ", or choose the device cpu"

"""What a server does when its process ends, before anything of it is waited for: torch's C++ aborts a process whose
thread is cut off.

`atexit` comes too late for that: Python first joins the threads of executors, and a trace's sweep would go on to its
end in them, however long it takes. What `concurrent.futures` registers for that when it is imported is called after
what is registered later.
"""

import concurrent.futures.thread  # noqa: F401 - see above
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Worker(Protocol):
    def told_to_leave(self) -> None:
        """Returns at once; work ends at its next step, or when what is under way is done."""

    def leave(self) -> None:
        """Waits until its thread has ended."""


_here: weakref.WeakSet[Worker] = weakref.WeakSet()
_ends = threading.Event()


def comes(worker: Worker) -> None:
    """Somebody who will be told; at once, if all are leaving already."""
    _here.add(worker)
    if _ends.is_set():
        worker.told_to_leave()


def gone(worker: Worker) -> None:
    _here.discard(worker)


def _leave() -> None:
    _ends.set()
    workers = list(_here)
    for worker in workers:
        _heard(worker.told_to_leave)
    for worker in workers:
        _heard(worker.leave)


def _heard(what: Callable[[], None]) -> None:
    """Nothing that one does, nor a second Ctrl+C, keeps the others from it."""
    try:
        what()
    except (Exception, KeyboardInterrupt):
        log.exception("not left in good order")


threading._register_atexit(_leave)  # type: ignore[attr-defined]  # there is no public one

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


class AtWork(Protocol):
    def told_to_leave(self) -> None:
        """Returns at once; work ends at its next step, or when what is under way is done."""

    def leave(self) -> None:
        """Waits until its thread has ended."""


_here: weakref.WeakSet[AtWork] = weakref.WeakSet()
_ends = threading.Event()


def comes(one: AtWork) -> None:
    """Somebody who will be told; at once, if all are leaving already."""
    _here.add(one)
    if _ends.is_set():
        one.told_to_leave()


def gone(one: AtWork) -> None:
    _here.discard(one)


def _leave() -> None:
    _ends.set()
    here = list(_here)
    for one in here:
        _heard(one.told_to_leave)
    for one in here:
        _heard(one.leave)


def _heard(what: Callable[[], None]) -> None:
    """Nothing that one does, nor a second Ctrl+C, keeps the others from it."""
    try:
        what()
    except (Exception, KeyboardInterrupt):
        log.exception("not left in good order")


threading._register_atexit(_leave)  # type: ignore[attr-defined]  # there is no public one

"""Work outside the queue that gives its results one by one: a thread of its own, with progress and a stop.

For what a page shows as it comes. A page that ran it itself could not hear its Cancel button: Streamlit lets no click
break into a run. The engine's passes take turns with all others.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from service.leaving import comes
from service.trouble import explain
from tracer import Cancelled, Progress

T = TypeVar("T")

_AT_EXIT = 10.0  # seconds for a step that is under way when the interpreter ends


class Stream(Generic[T]):
    """Starts at once. `work` hears a progress callback, which stops it once it was cancelled."""

    def __init__(self, work: Callable[[Progress], Iterable[T]], advice: str) -> None:
        """`advice`: what to do when memory runs out."""
        self._found: list[T] = []
        self._stop, self._ended = threading.Event(), threading.Event()
        self.phase, self.fraction = "", 0.0
        self.error: str | None = None
        self.cancelled = False  # it was stopped before its end
        self._work, self._advice = work, advice
        comes(self)
        threading.Thread(target=self._run, name="hypograph-stream", daemon=True).start()

    @property
    def over(self) -> bool:
        return self._ended.is_set()

    def found(self) -> list[T]:
        """The results so far; they stay when it is cancelled or fails."""
        return list(self._found)

    def cancel(self) -> None:
        """It ends at its next step."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """True if it is over by then."""
        return self._ended.wait(seconds)

    def told_to_leave(self) -> None:
        self.cancel()

    def leave(self) -> None:
        self.wait(_AT_EXIT)

    def _run(self) -> None:
        try:
            for result in self._work(self._told):
                self._found.append(result)
                self._told(self.phase, self.fraction)
        except Cancelled:
            self.cancelled = True
        except Exception as caught:
            self.error = explain(caught, self._advice)
        finally:
            self._ended.set()

    def _told(self, phase: str, fraction: float) -> None:
        if self._stop.is_set():
            raise Cancelled
        self.phase, self.fraction = phase, fraction

"""The place of the one loaded model: which is wanted, which is there, how far its loading is. Not locked: its owner is.

Knows how to call the engine's `load`, and nothing of jobs or threads.
"""

from dataclasses import dataclass
from typing import Literal

import tracer
from service.progress import LOAD_PHASES, History, Tracker


@dataclass(frozen=True)
class ModelView:
    """The model at one moment."""

    state: Literal["loading", "ready", "failed"]
    name: str
    phase: str
    fraction: float  # of the loading, 0..1
    error: str | None  # one line
    switching_to: str | None  # the model that will be loaded once the queue is empty


class ModelSlot:
    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.model: tracer.ReplacementModel | None = None
        self.name = ""  # of the loaded model
        self.loading = ""  # the name of the model that the worker is loading
        self.error: str | None = None
        self._history = History(LOAD_PHASES)
        self.tracker = Tracker(self._history)

    @property
    def needs_loading(self) -> bool:
        return self.error is None and self.name != self.wanted

    def want(self, name: str) -> None:
        self.wanted, self.error = name, None

    def begin(self) -> str:
        """Empty the slot; the name of the model to load."""
        self.model, self.name, self.loading = None, "", self.wanted
        self.tracker = Tracker(self._history)
        return self.loading

    def fill(self, model: tracer.ReplacementModel) -> None:
        self.model, self.name, self.loading = model, self.loading, ""
        self.tracker.finish()

    def fail(self, error: str | None) -> None:
        """`error` is None if the load was given up on purpose."""
        if self.loading == self.wanted:  # else somebody wants another model now, and this trouble is nobody's
            self.error = error
        self.loading = ""

    def view(self) -> ModelView:
        state: Literal["loading", "ready", "failed"] = "loading"
        if self.model is not None:
            state = "ready"
        elif self.error is not None:
            state = "failed"
        return ModelView(
            state=state,
            name=self.name or self.wanted,
            phase=self.tracker.phase,
            fraction=self.tracker.fraction,
            error=self.error,
            switching_to=self.wanted if self.model is not None and self.wanted != self.name else None,
        )

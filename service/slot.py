"""The place of the one loaded model: which is wanted, which is there, how far its loading is. Not locked: its owner is.

Knows how to call the engine's `load`, and nothing of jobs or threads.
"""

import time
from dataclasses import dataclass
from typing import Literal

import tracer
from service.progress import LOAD_PHASES, History, Tracker


@dataclass(frozen=True)
class Choice:
    """What to load: a model (preset, folder, Hub id) and its features ("neurons", or a transcoder set)."""

    model: str
    features: str


@dataclass(frozen=True)
class ModelView:
    """The model at one moment."""

    state: Literal["loading", "ready", "failed"]
    name: str
    features: str
    phase: str
    fraction: float  # of the loading, 0..1
    error: str | None  # one line
    trouble: str | None  # one line: why the last change of features did not come about
    switching_to: Choice | None  # the model that will be loaded once the queue is empty


@dataclass(frozen=True)
class LoadedModel:
    """One of the models in memory."""

    choice: Choice
    main: bool  # jobs run on it
    bytes: int  # of its weights
    used: float  # Unix time: when it was loaded, or used last beside the main one


class ModelSlot:
    def __init__(self, wanted: Choice) -> None:
        self.wanted = wanted
        self.used = time.time()
        self.users = 0  # how many pages run something on it now
        self.model: tracer.ReplacementModel | None = None
        self.loaded: Choice | None = None
        self.loading: Choice | None = None  # by the worker
        self.error: str | None = None
        self.trouble: str | None = None
        self._history = History(LOAD_PHASES)
        self.tracker = Tracker(self._history)

    @classmethod
    def of(cls, choice: Choice, model: tracer.ReplacementModel) -> "ModelSlot":
        """With a model that was loaded elsewhere."""
        slot = cls(choice)
        slot.begin()
        slot.fill(model)
        return slot

    @property
    def needs_loading(self) -> bool:
        return self.error is None and self.loaded != self.wanted

    def want(self, choice: Choice) -> None:
        self.wanted, self.error, self.trouble = choice, None, None

    def begin(self) -> tuple[Choice, tracer.ReplacementModel | None]:
        """Empty the slot; what to load, and the old model if its weights serve again."""
        same = self.loaded is not None and self.loaded.model == self.wanted.model
        old = self.model if same else None
        self.model, self.loaded, self.loading = None, None, self.wanted
        self.tracker = Tracker(self._history)
        return self.wanted, old

    def fill(self, model: tracer.ReplacementModel) -> None:
        self.model, self.loaded, self.loading = model, self.loading, None
        self.used = time.time()
        self.tracker.finish()

    def fail(self, error: str | None, old: tracer.ReplacementModel | None = None, was: Choice | None = None) -> None:
        """`error` is None if the load was given up on purpose. `old`, which was loaded as `was`, serves again."""
        if self.loading == self.wanted:  # else somebody wants another model now, and this trouble is nobody's
            if old is None:
                self.error = error
            else:
                self.trouble, self.wanted = error, was or self.wanted
        if old is not None:
            self.model, self.loaded = old, was
        self.loading = None

    def view(self) -> ModelView:
        state: Literal["loading", "ready", "failed"] = "loading"
        if self.model is not None:
            state = "ready"
        elif self.error is not None:
            state = "failed"
        return ModelView(
            state=state,
            name=(self.loaded or self.wanted).model,
            features=(self.loaded or self.wanted).features,
            phase=self.tracker.phase,
            fraction=self.tracker.fraction,
            error=self.error,
            trouble=self.trouble,
            switching_to=self.wanted if self.model is not None and self.wanted != self.loaded else None,
        )

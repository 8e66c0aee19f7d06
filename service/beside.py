"""One more model beside the loaded one, where somebody compares. Service inherits it and supplies the rest."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import tracer
from lab import Person, Role
from service.access import check_role
from service.loading import load_model
from service.settings import Settings
from service.slot import Choice, ModelSlot, ModelView
from service.trouble import release_memory, spare_long_lived


class Beside(ABC):
    settings: Settings
    _changed: threading.Condition  # guards the slots
    _slot: ModelSlot
    _beside: ModelSlot | None
    _load_model: Callable[..., tracer.ReplacementModel]
    _stopping: bool

    @abstractmethod
    def _supervise(self) -> None: ...

    def load_beside(self, choice: Choice, by: Person) -> None:
        """Have one more model beside the loaded one, until another is asked for here or the loaded one changes.

        Its weights must fit into the memory that is free, or it is not loaded; see `beside_state`. Raises Refused.
        """
        check_role(by, Role.EDITOR)
        with self._changed:
            self._supervise()
            if self._beside is None or self._beside.wanted != choice or self._beside.error is not None:
                self._beside = ModelSlot(choice)  # a load of another one is given up
                self._changed.notify_all()

    def give_up_beside(self, choice: Choice, by: Person) -> None:
        """Its loading ends at its next step; one that is loaded stays. Raises Refused."""
        check_role(by, Role.EDITOR)
        with self._changed:
            if self._beside is not None and self._beside.wanted == choice and self._beside.model is None:
                self._beside = None

    def beside(self, choice: Choice) -> tracer.ReplacementModel | None:
        """The model beside the loaded one, if it is this one."""
        slot = self._beside
        return slot.model if slot is not None and slot.wanted == choice else None

    def beside_state(self) -> ModelView | None:
        """None if no model was asked for beside the loaded one."""
        with self._changed:
            self._supervise()
            return None if self._beside is None else self._beside.view()

    # -- the worker's thread ------------------------------------------------------------------------------------------

    def _load_beside(self, slot: ModelSlot) -> None:
        """The loaded model is left as it is; if it has the same weights, they serve both."""
        with self._changed:
            choice, _ = slot.begin()
            shared = self._slot.model if self._slot.loaded and self._slot.loaded.model == choice.model else None
        release_memory()  # of the model that was beside before
        progress, more = partial(self._on_load_beside, slot), shared is None and not self.settings.offload
        model, error = load_model(self._load_model, choice, self.settings, shared, progress, checks_room=more)
        if model is None:
            with self._changed:
                slot.fail(error)
            return
        spare_long_lived()
        with self._changed:
            slot.fill(model)

    def _on_load_beside(self, slot: ModelSlot, phase: str, fraction: float) -> None:
        with self._changed:
            if self._stopping or self._beside is not slot or self._slot.needs_loading:
                raise tracer.Cancelled
            slot.tracker.report(phase, fraction)

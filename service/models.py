"""The loaded models: the one that jobs run on, and others beside it where somebody compares. Service inherits it and
supplies the rest.

Without a budget there is one beside it at most. With HYPOGRAPH_MODELS_GB there are as many as their weights leave room
for: the one longest unused goes first, never the one that jobs run on, and none that is in use.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import tracer
from lab import Person, Role
from service.access import check_role
from service.jobs import Refused
from service.loading import load_model
from service.settings import Settings
from service.slot import Choice, LoadedModel, ModelSlot, ModelView
from service.trouble import release_memory, spare_long_lived
from tracer.model.here import weight_bytes


class Models(ABC):
    settings: Settings
    _changed: threading.Condition  # guards the slots
    _slot: ModelSlot
    _others: dict[Choice, ModelSlot]
    _load_model: Callable[..., tracer.ReplacementModel]
    _stopping: bool

    @abstractmethod
    def _supervise(self) -> None: ...

    # -- the one that jobs run on -------------------------------------------------------------------------------------

    @property
    def model(self) -> tracer.ReplacementModel | None:
        """The loaded model, or None while there is none."""
        return self._slot.model

    def model_state(self) -> ModelView:
        with self._changed:
            self._supervise()
            return self._slot.view()

    def retry_load(self, by: Person) -> None:
        """Try again after a failed load. Raises Refused."""
        check_role(by, Role.EDITOR)
        with self._changed:
            self._supervise()
            self._slot.error = None
            self._changed.notify_all()

    def switch_model(self, name: str, features: str, by: Person) -> None:
        """Serve another model or feature set: when the running and queued jobs are done, unload this one, load that.

        New requests are refused from now on: their token ids belong to the old model. A load under way is given up.
        With a budget the old one stays beside the new one as long as there is room, and one that is there already need
        not be loaded. Raises Refused for anybody but an admin: it is everybody's model.
        """
        check_role(by, Role.ADMIN)
        with self._changed:
            self._supervise()
            self._slot.want(Choice(name, features))
            self._changed.notify_all()

    # -- the others ---------------------------------------------------------------------------------------------------

    def load_beside(self, choice: Choice, by: Person) -> None:
        """Have one more model beside the loaded one; see `beside_state`. Raises Refused.

        Its weights must fit into the memory that is free and into the budget, or it is not loaded. Without a budget it
        takes the place of the one that was there, and goes when the loaded one changes.
        """
        check_role(by, Role.EDITOR)
        with self._changed:
            self._supervise()
            slot = self._others.get(choice)
            if slot is not None and slot.error is None:
                slot.used = time.time()
                return
            if self.settings.models_gb is None:
                self._others.clear()  # a load of another one is given up
            else:
                self._drop(lambda other: other.model is None)
            self._others[choice] = ModelSlot(choice)
            self._changed.notify_all()

    def give_up_beside(self, choice: Choice, by: Person) -> None:
        """Its loading ends at its next step; one that is loaded stays. Raises Refused."""
        check_role(by, Role.EDITOR)
        with self._changed:
            if (slot := self._others.get(choice)) is not None and slot.model is None:
                del self._others[choice]

    def beside(self, choice: Choice) -> tracer.ReplacementModel | None:
        """This one of the models beside the loaded one, if it is there."""
        slot = self._others.get(choice)
        if slot is None or slot.model is None:
            return None
        slot.used = time.time()
        return slot.model

    @contextmanager
    def in_use(self, choices: Iterable[Choice]) -> Iterator[None]:
        """Meanwhile none of these models beside the loaded one is unloaded for another."""
        with self._changed:
            slots = [slot for choice in choices if (slot := self._others.get(choice)) is not None]
            for slot in slots:
                slot.users += 1
        try:
            yield
        finally:
            with self._changed:
                for slot in slots:
                    slot.users -= 1
                    slot.used = time.time()

    def beside_state(self, choice: Choice) -> ModelView | None:
        """None if this model was not asked for beside the loaded one, or gave way to another."""
        with self._changed:
            self._supervise()
            slot = self._others.get(choice)
            return None if slot is None else slot.view()

    def loaded_models(self) -> list[LoadedModel]:
        """The one that jobs run on first, then the others, the one used last first."""
        with self._changed:
            others = sorted(self._others.items(), key=lambda item: -item[1].used)
            slots = [(self._slot.loaded, self._slot), *others]
            return [
                LoadedModel(choice, slot is self._slot, _size([slot]), slot.used)
                for choice, slot in slots
                if choice is not None and slot.model is not None
            ]

    # -- the worker's thread ------------------------------------------------------------------------------------------

    def _load(self) -> None:
        budget = self.settings.models_gb is not None
        with self._changed:
            replaced, was = self._slot.model, self._slot.loaded
            choice, old = self._slot.begin()
            if not budget:
                self._others.clear()
            elif replaced is not None and was is not None:
                self._others[was] = ModelSlot.of(was, replaced)
            found = self._others.pop(choice, None)
            if found is not None and found.model is not None:
                self._slot.fill(found.model)
                return
            if budget:
                self._make_room(self._need(choice, old))
        if replaced is not None:
            del replaced, found
            release_memory()  # what the old model had and the new one has not goes before that comes
        model, error = load_model(self._load_model, choice, self.settings, old, partial(self._on_load, choice))
        if model is None:
            with self._changed:
                kept = self._others.pop(was, None) if was is not None else None
                self._slot.fail(error, old if kept is None else kept.model, was)
            return
        del old
        spare_long_lived()
        with self._changed:
            self._slot.fill(model)
            if budget:
                self._make_room(0)  # its size may not have been known before

    def _on_load(self, choice: Choice, phase: str, fraction: float) -> None:
        with self._changed:
            if self._stopping or self._slot.wanted != choice:
                raise tracer.Cancelled
            self._slot.tracker.report(phase, fraction)

    def _next_beside(self) -> ModelSlot | None:
        """That is to be loaded."""
        return next((slot for slot in self._others.values() if slot.needs_loading), None)

    def _load_beside(self, slot: ModelSlot) -> None:
        """The loaded model is left as it is; if it has the same weights, they serve both."""
        with self._changed:
            choice, _ = slot.begin()
            shared = self._with_weights_of(choice)
            try:
                if self.settings.models_gb is not None:
                    self._make_room(self._need(choice, shared), refuses=True)
            except Refused as refusal:
                slot.fail(str(refusal))
                return
        release_memory()  # of the model that was beside before
        progress, more = partial(self._on_load_beside, choice, slot), shared is None and not self.settings.offload
        model, error = load_model(self._load_model, choice, self.settings, shared, progress, checks_room=more)
        if model is None:
            with self._changed:
                slot.fail(error)
            return
        spare_long_lived()
        with self._changed:
            slot.fill(model)
            if self.settings.models_gb is not None:
                self._make_room(0)

    def _on_load_beside(self, choice: Choice, slot: ModelSlot, phase: str, fraction: float) -> None:
        with self._changed:
            if self._stopping or self._others.get(choice) is not slot or self._slot.needs_loading:
                raise tracer.Cancelled
            slot.tracker.report(phase, fraction)

    # -- under the lock -----------------------------------------------------------------------------------------------

    def _drop(self, which: Callable[[ModelSlot], bool]) -> None:
        for choice in [choice for choice, slot in self._others.items() if which(slot)]:
            del self._others[choice]

    def _with_weights_of(self, choice: Choice) -> tracer.ReplacementModel | None:
        """A loaded model whose weights serve this one too."""
        slots = (self._slot, *self._others.values())
        return next((slot.model for slot in slots if slot.loaded and slot.loaded.model == choice.model), None)

    def _need(self, choice: Choice, shared: tracer.ReplacementModel | None) -> float:
        """Bytes that loading it takes."""
        settings = self.settings
        if shared is not None or settings.offload:
            return 0.0
        try:
            return weight_bytes(choice.model, settings.models, settings.device, settings.dtype)
        except (OSError, tracer.TracerError):  # loading it will say what is wrong
            return 0.0

    def _make_room(self, need: float, refuses: bool = False) -> None:
        """Unload what is longest unused until so many bytes more keep within the budget.

        Raises Refused where that can't be, if it `refuses`: the loaded model comes whatever its size.
        """
        budget = (self.settings.models_gb or 0) * 1e9
        while _size([self._slot, *self._others.values()]) + need > budget:
            idle = [(slot.used, choice) for choice, slot in self._others.items() if slot.model and not slot.users]
            if not idle:
                break
            del self._others[min(idle, key=lambda one: one[0])[1]]
        taken = _size([self._slot, *self._others.values()])
        if refuses and taken + need > budget:
            raise Refused(
                f"its weights take {need / 1e9:.3g} GB, and of the {budget / 1e9:.3g} GB for models"
                f" (HYPOGRAPH_MODELS_GB) {taken / 1e9:.3g} GB are in use: choose a smaller one, or try again later"
            )


def _size(slots: Iterable[ModelSlot]) -> int:
    """Bytes of the weights in memory; those that serve several models once."""
    models = {id(slot.model.anatomy): slot.model for slot in slots if slot.model is not None}
    return sum(model.anatomy.weight_bytes for model in models.values())

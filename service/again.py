"""What a crash or a stop cut off, and how it is run again. Service inherits it and supplies the rest."""

from abc import ABC, abstractmethod

import tracer
from cache import GraphCache
from lab import Person
from service.jobs import Job, JobState, JobView, Refused, TraceRequest
from service.journal import Interrupted, Journal
from service.slot import ModelSlot
from service.tracing import key_of


class Again(ABC):
    cache: GraphCache
    _journal: Journal | None  # None: nothing is written down
    _slot: ModelSlot
    _stopping: bool

    @property
    @abstractmethod
    def model(self) -> tracer.ReplacementModel | None: ...

    @abstractmethod
    def submit(self, request: TraceRequest, by: Person) -> JobView: ...

    def interrupted(self, by: Person) -> list[Interrupted]:
        """Of this person, the oldest first; what was traced since, by a batch say, is forgotten. Raises LabError."""
        if self._journal is None:
            return []
        left = self._journal.interrupted(by)
        traced = {
            one.id for one in left if (model := self._asked_of(one)) and key_of(one.asked.request, model) in self.cache
        }
        for id in traced:
            self._journal.forget(id, by)
        return [one for one in left if one.id not in traced]

    def run_again(self, job_id: str, by: Person) -> JobView:
        """Raises Refused, LabError."""
        one = next((one for one in self.interrupted(by) if one.id == job_id), None)
        if one is None:
            raise Refused("it was run again already, or taken away")
        if self._asked_of(one) is None:
            asked = one.asked
            raise Refused(f"it was asked of {asked.model} with {asked.features}: load that first, then run it again")
        job = self.submit(one.asked.request, by)
        self.forget_interrupted(job_id, by)
        return job

    def _asked_of(self, one: Interrupted) -> tracer.ReplacementModel | None:
        """The loaded model, if it was asked of that with the features that it has now."""
        model, loaded = self.model, self._slot.loaded
        if model is None or loaded is None:
            return None
        now = model.model_fingerprint, loaded.features
        return model if (one.asked.fingerprint, one.asked.features) == now else None

    def forget_interrupted(self, job_id: str, by: Person) -> None:
        """Raises LabError."""
        if self._journal is not None:
            self._journal.forget(job_id, by)

    # -- what the board says ------------------------------------------------------------------------------------------

    def _waits(self, job: Job, person: str) -> None:
        choice, model = self._slot.loaded, self._slot.model
        if self._journal is not None and choice is not None and model is not None:
            self._journal.asked(job, person, choice.model, choice.features, model.model_fingerprint)

    def _no_longer_waits(self, job: Job, person: str | None) -> None:
        given_up = self._stopping and job.state is JobState.CANCELLED  # to be run again when the server is back
        if self._journal is not None and not given_up:
            self._journal.over(job, person)

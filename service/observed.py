"""What machines may know of a service: is it ready, and figures. Service inherits it and supplies the rest."""

from abc import ABC, abstractmethod
from typing import Literal

from cache import GraphCache
from lab.pulse import Pulse
from service.board import Board
from service.metrics import Metrics
from service.slot import LoadedModel, ModelSlot


class Observed(ABC):
    cache: GraphCache
    metrics: Metrics
    _board: Board
    _pulse: Pulse | None  # None: there is no record
    _slot: ModelSlot
    _stopping: bool

    @abstractmethod
    def loaded_models(self) -> list[LoadedModel]: ...

    def not_ready(self) -> Literal["stopping", "record", "failed", "loading"] | None:
        """Why nobody should be sent here now: it stops, the record does not answer, the model failed to load, or is
        being loaded. Waits at most `lab.pulse.SECONDS`."""
        if self._stopping:
            return "stopping"
        if self._pulse is not None and not self._pulse.beats():
            return "record"
        if self._slot.model is None:
            return "failed" if self._slot.error is not None else "loading"
        return None

    def _watch(self) -> None:
        """Figures that are looked up when somebody asks."""
        watch, board = self.metrics.watch, self._board
        watch("jobs_waiting", "Jobs in the queue", board.waiting)
        watch("jobs_running", "Jobs that run, or rest while a trace goes first", lambda: board.in_turn)
        watch("cache_bytes", "Graphs on disk, with their table", self.cache.volume)
        watch("cache_graphs", "Graphs in the cache", self.cache.__len__)
        watch("model_loaded", "1: the model that jobs run on is in memory", lambda: self._slot.model is not None)
        watch("models_bytes", "Weights in memory", lambda: sum(one.bytes for one in self.loaded_models()))

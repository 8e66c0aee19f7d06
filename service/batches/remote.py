"""The dashboard's traces on a worker of a Ray cluster (HYPOGRAPH_RAY_ADDRESS), one by one as the queue gives them.

The model here still answers all the rest. Progress and Cancel reach the worker: it has a second thread for them.
"""

from collections.abc import Callable
from itertools import count

import tracer
from service.batches.over_ray import Actors, Cluster
from service.batches.worker import Worker
from service.batches.workers import Lost
from service.jobs import TraceRequest
from service.settings import Settings
from service.slot import Choice
from service.tracing import trace

Tracing = Callable[[TraceRequest, tracer.ReplacementModel, Choice | None, tracer.Progress], tracer.Graph]

_LOOK = 0.25  # seconds between two looks at how far it is


def tracing(settings: Settings) -> Tracing:
    """On the cluster that the settings name, or else here."""
    return Remote(settings.ray_address) if settings.ray_address else _here


def _here(
    request: TraceRequest, model: tracer.ReplacementModel, _choice: Choice | None, progress: tracer.Progress
) -> tracer.Graph:
    return trace(request, model, progress)


class Watched(Worker):
    """Says how far it is while it traces, and stops when it is told to."""

    def __init__(self, model: str, features: str) -> None:
        super().__init__(model, features, self._heard)
        self._far = ("", 0.0)
        self._number = self._stopped = -1

    def graph(self, number: int, request: TraceRequest) -> bytes:
        self._number, self._far = number, ("", 0.0)
        return trace(request, self.model, self._heard).to_bytes()

    def how_far(self) -> tuple[str, float]:
        return self._far

    def stop(self, number: int) -> None:
        self._stopped = number

    def _heard(self, phase: str, fraction: float) -> None:
        if self._stopped == self._number != -1:
            raise tracer.Cancelled
        self._far = phase, fraction


class Remote:
    """Called by the one thread that owns the model. Connects when it is first needed."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = count()
        self._cluster: Cluster | None = None
        self._at: tuple[Choice, Actors] | None = None

    def __call__(
        self,
        request: TraceRequest,
        model: tracer.ReplacementModel,
        choice: Choice | None,
        progress: tracer.Progress,
    ) -> tracer.Graph:
        """Raises TracerError, and whatever `progress` raises; the worker then stops too."""
        assert choice is not None  # what the model was loaded as
        actors, number = self._actors(choice), next(self._numbers)
        asked = actors.start("graph", number, request)
        try:
            far = ("record", 0.0)
            while not actors.ready(asked, _LOOK):
                look = actors.start("how_far")
                if actors.ready(look, _LOOK) and not isinstance(heard := actors.answer(look), Lost):
                    far = heard
                progress(*far)
            made = actors.answer(asked)
        except BaseException:
            actors.start("stop", number)
            raise
        if isinstance(made, Lost):
            raise tracer.TracerError(str(made))
        graph = tracer.Graph.from_bytes(made)
        if (graph.meta["model_fingerprint"], graph.meta["basis_fingerprint"]) != (
            model.model_fingerprint,
            model.basis_fingerprint,
        ):
            raise tracer.TracerError(f"the Ray worker has another {choice.model} than this server: make them the same")
        return graph

    def _actors(self, choice: Choice) -> Actors:
        if self._cluster is None:
            self._cluster = Cluster(self._address)
        if self._at is not None and self._at[0] != choice:
            self._at[1].end()
            self._at = None
        if self._at is None:
            self._at = choice, self._cluster.actors(choice.model, choice.features, 1, None, Watched)
        return self._at[1]

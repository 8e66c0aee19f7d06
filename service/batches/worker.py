"""Who does the work of a batch: holds the model, and answers for one prompt at a time. In this process, or as an actor.

What it is told and what it answers are plain records, so that it may be on another machine.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import tracer
from lab import HypothesisFile
from lab.runs.bodies import DrawnControls, PromptFigures, RunBody
from lab.runs.run import run_body
from lab.runs.steps import Steps
from service.batches.folder import Asked, Fingerprints, Item, Settings, Summary, refused_key, summary
from service.jobs import Refused, TraceRequest
from service.settings import Settings as Environment
from service.tracing import check, key_of, trace
from service.trouble import release_memory
from tracer.errors import first_line, silent
from tracer.memory import is_out_of_memory


@dataclass(frozen=True)
class Traced:
    """One prompt's graph as bytes, or why there is none, in one line."""

    seconds: float
    graph: bytes = b""
    summary: Summary | None = None
    error: str | None = None


class Worker:
    def __init__(self, model: str, features: str, progress: tracer.Progress = silent) -> None:
        """`model`, `features`: as for `tracer.load`; device, folders and limits are those of its own machine.
        `progress`: of loading the model; of a batch, who has it done tells that."""
        self._names = model, features
        self._progress = progress
        self._at_work: Steps | None = None

    @cached_property
    def model(self) -> tracer.ReplacementModel:
        """Loaded when it is first needed: an actor that was started anew needs it again. Raises TracerError."""
        settings, (model, features) = Environment.from_env(), self._names
        return tracer.load(
            model,
            features=features,
            device=settings.device,
            dtype=settings.dtype,
            offload=settings.offload,
            store=settings.models,
            progress=self._progress,
        )

    def fingerprints(self) -> Fingerprints:
        model = self.model
        return Fingerprints(model=model.model_fingerprint, basis=model.basis_fingerprint, engine=tracer.ENGINE_VERSION)

    def prepare(self, numbered: Sequence[tuple[int, Asked]], settings: Settings) -> list[tuple[Item, str | None]]:
        """Each prompt with its tokens and its key; one that can't be traced with the reason, in one line."""
        return [self._prepared(row, asked, settings) for row, asked in numbered]

    def _prepared(self, row: int, asked: Asked, settings: Settings) -> tuple[Item, str | None]:
        given = asked.model_dump()
        try:
            ids = asked.tokens if asked.tokens is not None else tuple(self.model.token_ids(asked.prompt or ""))
            request = self._request(asked, ids, settings)
            check(request, self.model, Environment.from_env().max_tokens)
        except (tracer.TracerError, Refused) as problem:
            return Item(**given, row=row, key=refused_key(asked.model_dump_json())), str(problem)
        return Item(**given | {"tokens": ids}, row=row, key=key_of(request, self.model)), None

    def trace(self, item: Item, settings: Settings) -> Traced:
        """Never fails for the prompt's sake. Raises TracerError where the model can't be loaded."""
        model, begun = self.model, time.perf_counter()
        try:
            graph = trace(self._request(item, item.tokens or (), settings), model, silent)
            made, told = graph.to_bytes(), summary(graph)
        except Exception as problem:
            return Traced(time.perf_counter() - begun, error=_why(problem))
        return Traced(time.perf_counter() - begun, made, told)

    def _request(self, asked: Asked, ids: tuple[int, ...], settings: Settings) -> TraceRequest:
        targets: tuple[int, ...] | tracer.Difference | None = None
        if asked.target is not None:
            target = self.model.token_id(asked.target)
            targets = (target,) if asked.minus is None else tracer.Difference(target, self.model.token_id(asked.minus))
        return TraceRequest(ids, targets=targets, **settings.model_dump())

    # -- a hypothesis -------------------------------------------------------------------------------------------------

    def run_body(self, file: HypothesisFile) -> RunBody:
        """What a run of it is bound to. Raises LabError and TracerError for what can't be run or not be decided."""
        return run_body(file, self.model)

    def baseline(self, part: str, run: RunBody) -> PromptFigures:
        return next(self._steps(run).baselines([part]))

    def draw(self, included: Sequence[str], run: RunBody) -> DrawnControls:
        return self._steps(run).draw(included)

    def measure(self, part: str, included: Sequence[str], run: RunBody) -> PromptFigures:
        """Draws the controls once more, where it has not: they follow from the hypothesis, and are too many to send."""
        return next(self._steps(run).measure([part], included))

    def _steps(self, run: RunBody) -> Steps:
        if self._at_work is None or self._at_work.run != run:
            self._at_work = Steps(run, self.model)
        return self._at_work


def _why(problem: Exception) -> str:
    if isinstance(problem, tracer.TracerError):
        return str(problem)
    if is_out_of_memory(problem):
        release_memory()
        return "out of memory: take fewer nodes (--max-nodes) or a shorter prompt"
    return f"unexpected error: {type(problem).__name__}: {first_line(problem)}"

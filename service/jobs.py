"""A request, for a graph or for a run of a hypothesis, and the job that answers it: plain records. Knows no threads, no
model and no cache.

A `Job` is changed only under its owner's lock; everybody else reads a `JobView`.
"""

import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import tracer
from lab import HypothesisFile, Lab, Person
from service.progress import Tracker


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Refused(Exception):
    """A request that is not even queued. The message is one line for the person."""


@dataclass(frozen=True)
class TraceRequest:
    """What to trace: the arguments of `ReplacementModel.trace`, hashable."""

    tokens: tuple[int, ...]
    prompt: str = ""  # as typed, for lists only: the tokens are what is traced
    targets: tuple[int, ...] | tracer.Difference | None = None
    position: int | None = None
    max_logits: int = 10
    logit_mass: float = 0.95
    max_nodes: int | str | None = "auto"

    @property
    def kind(self) -> Literal["trace"]:
        return "trace"

    @property
    def title(self) -> str:
        return self.prompt.strip() or f"{len(self.tokens)} tokens"


@dataclass(frozen=True)
class RunRequest:
    """Which hypothesis to run, for whom, in which record: the arguments of `lab.runs.run.begin`."""

    lab: Lab
    author: Person
    file: HypothesisFile
    full_grid: bool = False
    predicts: bool = False
    anew: bool = False
    record: str | None = None  # of the hypothesis: a draft's file doesn't say it

    @property
    def kind(self) -> Literal["run"]:
        return "run"

    @property
    def title(self) -> str:
        return self.file.hypothesis.title


def summary_of(request: TraceRequest | RunRequest) -> str:
    """The start of its title, on one line."""
    title = " ".join(request.title.split())
    return title if len(title) <= 80 else title[:79] + "…"


@dataclass(frozen=True)
class JobView:
    """A job at one moment."""

    id: str
    kind: Literal["trace", "run"]
    key: str  # of the graph, in the cache; of a run its id, in the record
    summary: str  # the start of the prompt, or how many tokens; the hypothesis's title
    n_tokens: int  # of a trace
    state: JobState
    cached: bool  # it was in the cache: nothing was computed
    cancel_requested: bool  # running, and about to stop
    phase: str
    fraction: float  # of the whole, 0..1
    eta: float | None  # seconds left, while running and when known
    position: int | None  # 1 is next, while queued
    wait: float | None  # seconds until it starts, while queued and when known
    error: str | None  # one line
    warning: str | None  # one line, for a job that is done
    created: float  # Unix time, as the next two
    started: float | None
    finished: float | None
    watchers: tuple[str, ...]  # who waits for it, in the order in which they came

    @property
    def over(self) -> bool:
        return self.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass
class Job:
    """The changing record behind the views."""

    key: str
    request: TraceRequest | RunRequest
    watchers: list[str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: JobState = JobState.QUEUED
    cached: bool = False
    cancel_requested: bool = False
    stopped_by: str | None = None  # who cancelled it for others
    tracker: Tracker | None = None  # once it runs
    error: str | None = None
    warning: str | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None

    @property
    def owner(self) -> str:
        """Who has waited for it longest."""
        return self.watchers[0]

    def start(self, tracker: Tracker) -> None:
        self.state, self.started, self.tracker = JobState.RUNNING, time.time(), tracker

    def finish(self, state: JobState, error: str | None = None) -> None:
        self.state, self.error, self.finished = state, error, time.time()

    def view(self, position: int | None = None, wait: float | None = None) -> JobView:
        fraction = self.tracker.fraction if self.tracker else 0.0
        return JobView(
            id=self.id,
            kind=self.request.kind,
            key=self.key,
            summary=summary_of(self.request),
            n_tokens=len(self.request.tokens) if isinstance(self.request, TraceRequest) else 0,
            state=self.state,
            cached=self.cached,
            cancel_requested=self.cancel_requested,
            phase=self.tracker.phase if self.tracker else "",
            fraction=1.0 if self.state is JobState.DONE else fraction,
            eta=self.tracker.eta() if self.tracker and self.state is JobState.RUNNING else None,
            position=position,
            wait=wait,
            error=self.error,
            warning=self.warning,
            created=self.created,
            started=self.started,
            finished=self.finished,
            watchers=tuple(self.watchers),
        )

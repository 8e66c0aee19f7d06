"""Which jobs there are: waiting, running, over, and who waits for each. Not locked: its owner is.

Knows no threads and no model; it runs nothing.
"""

from collections.abc import Callable, Sequence

from service.jobs import Job, JobState, JobView, RunRequest
from service.progress import RUN_PHASES, TRACE_PHASES, History, Tracker
from service.telling import Telling
from service.turns import Turns

_KEPT = 200  # jobs that are over


class Board:
    def __init__(
        self, waits: Callable[[Job, str], None], left: Callable[[Job, str | None], None], told: Telling
    ) -> None:
        """`waits` hears who waits for a job, `left` who no longer does (None: it is over, but for what is dropped when
        the server stops)."""
        self._waits, self._left, self._told = waits, left, told
        self.running: Job | None = None
        self._resting: Job | None = None  # a run, while a trace goes first between two of its prompts
        self._queue = Turns()
        self.paused = False  # by an admin: what runs goes on, nothing more starts
        self._jobs: dict[str, Job] = {}  # by id, oldest first
        self._in_flight: dict[str, Job] = {}  # by key: the job that the same request joins
        # of each kind of job; how long a run takes says nothing of another's, so none is remembered
        self._histories = {"trace": History(TRACE_PHASES), "run": History(RUN_PHASES)}

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def waiting(self, person: str | None = None) -> int:
        """How many jobs, of this person or of all."""
        return len(self._queue) if person is None else self._queue.of(person)

    @property
    def in_turn(self) -> int:
        """How many run, or rest."""
        return sum(job is not None for job in (self.running, self._resting))

    def add(self, job: Job) -> None:
        """List a job, and queue it unless it is over already."""
        self._told.asked(job)
        if job.finished is None:
            self._queue.add(job)
            self._waits(job, job.owner)
            self._in_flight[job.key] = job
        self._jobs[job.id] = job
        over = [old.id for old in self._jobs.values() if old.finished is not None]
        for job_id in over[:-_KEPT]:
            del self._jobs[job_id]

    def join(self, key: str, person: str) -> Job | None:
        """The job that already does this, with one more watcher."""
        job = self._in_flight.get(key)
        if job is not None and person not in job.watchers:
            job.watchers.append(person)
            self._told.joined(job, person)
            self._waits(job, person)
        return job

    def join_same(self, request: RunRequest, person: str) -> Job | None:
        """The same for a run, asked for in the same words: one that begins anew has no key yet."""
        key = next((key for key, job in self._in_flight.items() if job.request == request), None)
        return None if key is None else self.join(key, person)

    def leave(self, job: Job, person: str) -> None:
        """One watcher less; a job that nobody waits for ends: a queued one now, a running one at its next step."""
        if job.finished is not None or person not in job.watchers:
            return
        if len(job.watchers) > 1:
            job.watchers.remove(person)
            self._told.left(job, person)
            self._left(job, person)
        else:
            self.stop(job)

    def stop(self, job: Job, by: str | None = None) -> None:
        """For all who wait for it: a queued one ends now, a running one at its next step."""
        if job.finished is not None:
            return
        job.stopped_by = by
        if job.state is JobState.QUEUED:
            self._queue.remove(job)
            self.end(job, JobState.CANCELLED)
        else:
            job.cancel_requested = True
            self._in_flight.pop(job.key, None)  # the same request, asked again now, is a new job

    def start_next(self) -> Job | None:
        job = None if self.paused else self._queue.take()
        return None if job is None else self._start(job)

    def start_between(self) -> Job | None:
        """The first trace that waits, while the running job rests; it goes on when the trace has ended."""
        if self._resting is not None or self.paused:
            return None
        first = self._queue.take("trace")
        if first is None:
            return None
        self._resting = self.running
        return self._start(first)

    def end(self, job: Job, state: JobState, error: str | None = None) -> None:
        self._end(job, state, error)
        self._left(job, None)

    def _end(self, job: Job, state: JobState, error: str | None) -> None:
        stopped = f"{job.stopped_by} cancelled it" if state is JobState.CANCELLED and job.stopped_by else None
        job.finish(state, error or stopped)
        self._told.over(job)
        if self._in_flight.get(job.key) is job:
            del self._in_flight[job.key]
        if self.running is job:
            self.running, self._resting = self._resting, None

    def _start(self, job: Job) -> Job:
        self.running = job
        job.start(Tracker(self._histories[job.request.kind]))
        self._told.started(job)
        return job

    def drop_queue(self, error: str) -> None:
        while job := self._queue.take():
            self._end(job, JobState.CANCELLED, error)

    def view(self, job: Job) -> JobView:
        if job.state is not JobState.QUEUED:
            return job.view()
        order = self._queue.order()
        place = order.index(job)
        return job.view(place + 1, self._wait(job, order[:place]))

    def _wait(self, job: Job, before: Sequence[Job]) -> float | None:
        """Seconds until it starts. None where nothing is known of what comes before: how long a run takes is known when
        it runs, and traces go first between two of its prompts."""
        history = self._histories["trace"]
        if job.request.kind == "run" or not history.known or self.paused:
            return None
        running = self.running
        is_trace = running is not None and running.request.kind == "trace"
        left = running.tracker.eta() if is_trace and running and running.tracker else 0.0
        traces = sum(one.request.kind == "trace" for one in before)
        return None if left is None else left + traces * sum(history.seconds().values())

    def views(self) -> list[JobView]:
        """Newest first."""
        return [self.view(job) for job in reversed(self._jobs.values())]

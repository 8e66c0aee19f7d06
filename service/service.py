"""The one owner of the loaded model: it loads it, runs jobs one after the other, and answers what is going on.

One worker thread does all the work, so the model and its device need no lock of their own. Pages only submit and look:
every method but `wait` and `stop` returns at once. Who changes something must have the role for it. Knows nothing of
Streamlit.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

import tracer
from cache import FactCache, GraphCache, Sightings
from lab import Lab, Person, Role
from lab.pulse import Pulse
from service.access import check_role
from service.again import Again
from service.background import Background
from service.batches.remote import tracing
from service.board import Board
from service.facts import FeatureFacts
from service.graphs import Graphs
from service.hypotheses import begun, expected, run_hypothesis
from service.jobs import Job, JobState, JobView, Refused, RunRequest, TraceRequest
from service.journal import Journal
from service.leaving import comes, gone
from service.metrics import Metrics
from service.models import Models
from service.observed import Observed
from service.public_records import PublicRecords
from service.settings import Settings
from service.shelf import Shelf
from service.slot import Choice, ModelSlot
from service.telling import Telling
from service.tracing import check, key_of
from service.trouble import explain, release_memory
from tracer.memory import trim

log = logging.getLogger(__name__)

_FACTS_BYTES = 200_000_000  # what features say (0.5 kB each), and what Neuronpedia says of them (up to 100 kB)
_ADVICE = {"trace": "trace fewer nodes or a shorter prompt", "run": "take shorter prompts"}
_PATIENCE = 3.0  # seconds that a cancelled job may take to end
_IDLE = 30.0  # seconds without a job, until freed memory goes back to the system: pages leave gaps in it


class Service(Models, Again, Graphs, Observed):
    def __init__(
        self,
        settings: Settings,
        load: Callable[..., tracer.ReplacementModel] = tracer.load,
        lab: Lab | None = None,
    ) -> None:
        """`lab`: where what was asked for is written down, so that a crash loses nothing.

        Raises `cache.CacheError` when the cache folder cannot be used. Nothing runs before `start`.
        """
        self._lab = lab
        self._pulse = None if lab is None else Pulse(lab)
        self._journal: Journal | None = None
        self.settings = settings
        self.cache = GraphCache(settings.cache / "graphs", int(settings.cache_gb * 1e9))
        self.sightings = Sightings(self.cache)
        facts = FactCache(settings.cache / "features", _FACTS_BYTES)
        self.facts = FeatureFacts(facts)
        self.public_records = PublicRecords(settings, facts)
        self._shelf = Shelf(self.cache)
        self._background = Background(settings)
        self._load_model = load
        self._trace = tracing(settings)
        self._beginning = threading.Lock()  # of two who ask for one run at once, the second finds what the first began
        self._changed = threading.Condition()  # guards all that follows
        self._slot = ModelSlot(Choice(settings.model, settings.features))
        self._others: dict[Choice, ModelSlot] = {}  # more models, where somebody compares
        self.metrics = Metrics()
        self._board = Board(self._waits, self._no_longer_waits, Telling(self.metrics, settings.log_prompts))
        self._watch()
        self._worker: threading.Thread | None = None
        self._stopping = False

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the worker, which loads the model first. Does nothing if it runs."""
        with self._changed:
            if self._worker is None or not self._worker.is_alive():
                self._stopping = False
                if self._lab is not None:
                    self._journal = Journal(self._lab, self.settings.home)
                self._spawn()
                comes(self)

    def stop(self, timeout: float = 30.0) -> bool:
        """Let the running job finish, for at most `timeout` seconds; drop the queued ones. True if the worker ended."""
        gone(self)
        self.told_to_leave()
        worker = self._worker
        if worker is None:
            return True
        worker.join(timeout)
        if worker.is_alive():
            with self._changed:
                if self._board.running is not None:
                    self._board.running.cancel_requested = True
            worker.join(_PATIENCE)
        if self._journal is not None:
            self._journal.close()
        return not worker.is_alive()

    def told_to_leave(self) -> None:
        """A trace may come to its end; what can go on another day, a run or a build, ends at its next step."""
        with self._changed:
            if not self._stopping:
                log.info("stopping")
            self._stopping = True
            self._board.drop_queue("the server stopped before this ran: run it again")
            self._changed.notify_all()

    def leave(self) -> None:
        """The process ends."""
        self.stop(self.settings.stop_seconds)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def submit(self, request: TraceRequest, by: Person) -> JobView:
        """Queue a trace; or join the job that already does it; or find it done, in the cache.

        Raises `Refused`; a viewer may only find, and watch what somebody asked for.
        """
        with self._changed:
            self._supervise()
            model = self._ready_model()
        check(request, model, self.settings.max_tokens)
        key = key_of(request, model)
        with self._changed:
            if job := self._board.join(key, by.id):
                return self._board.view(job)
        found = self._shelf.get(key)  # reads a file, as the next line may ask the record: not under the lock
        if found is None:
            self._check_quota(by)
        with self._changed:
            if job := self._board.join(key, by.id):
                return self._board.view(job)
            if found is None:
                found = self._shelf.in_memory(key)  # the same request came and was done in between
            if found is None:
                check_role(by, Role.EDITOR)
            job = Job(key, request, [by.id], cached=found is not None)
            if job.cached:
                job.finish(JobState.DONE)
            return self._queued(job, model, by)

    def submit_run(self, request: RunRequest, by: Person) -> JobView:
        """Queue a run of a hypothesis, or go on with one that was cut off; or join the job that does. Raises `Refused`.

        Traces go first between two of its prompts. What is finished is kept, also when it is cancelled or fails.
        """
        check_role(by, Role.EDITOR)
        with self._changed:
            self._supervise()
            model = self._ready_model()
        with self._beginning:
            with self._changed:
                if job := self._board.join_same(request, by.id):
                    return self._board.view(job)
                self._check_room(model, by)  # before a run is written that would stay empty
            self._check_quota(by)
            record = begun(request, model, self.settings.max_tokens)
            with self._changed:
                if job := self._board.join(record.id, by.id):
                    return self._board.view(job)
                return self._queued(Job(record.id, request, [by.id]), model, by)

    def job(self, job_id: str) -> JobView | None:
        with self._changed:
            self._supervise()
            job = self._board.get(job_id)
            return self._board.view(job) if job else None

    def jobs(self) -> list[JobView]:
        """Newest first; of those that are over, the latest 200."""
        with self._changed:
            self._supervise()
            return self._board.views()

    def cancel(self, job_id: str, by: Person) -> JobView | None:
        """This person waits no longer. When nobody does, a queued job ends now and a running one at its next step."""
        with self._changed:
            self._supervise()
            job = self._board.get(job_id)
            if job is None:
                return None
            self._board.leave(job, by.id)
            self._changed.notify_all()
            return self._board.view(job)

    def cancel_for_all(self, job_id: str, by: Person) -> None:
        """Whoever waits for it; they are told who it was. Raises Refused for anybody but an admin."""
        check_role(by, Role.ADMIN)
        with self._changed:
            if job := self._board.get(job_id):
                self._board.stop(job, by.name)
                self._changed.notify_all()

    @property
    def paused(self) -> bool:
        return self._board.paused

    def pause(self, paused: bool, by: Person) -> None:
        """What runs goes on to its end; nothing more starts until this is taken back. Raises Refused."""
        check_role(by, Role.ADMIN)
        with self._changed:
            self._board.paused = paused
            self._changed.notify_all()

    def wait(self, job_id: str, timeout: float) -> JobView | None:
        """The job when it is over, or as it is after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                view = self.job(job_id)
                left = deadline - time.monotonic()
                if view is None or view.over or left <= 0:
                    return view
                self._changed.wait(min(left, 1.0))  # a dead worker notifies nobody: look again each second

    # -- the worker's thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while task := self._next_task():
            task()

    def _next_task(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._stopping:
                if job := self._board.start_next():  # before a switch: these were asked of the model that is loaded
                    return partial(self._do, job)
                if self._slot.needs_loading and not self._board.waiting():  # some wait for the old one while paused
                    return self._load
                if (beside := self._next_beside()) is not None:
                    return partial(self._load_beside, beside)
                if self._background.wanted(self._slot.model):
                    return self._build_dashboards
                if not self._changed.wait(_IDLE):
                    return trim
        return None

    def _build_dashboards(self) -> None:
        """While nobody asks for anything else; goes on later where it was."""
        model = self._slot.model
        assert model is not None
        self._background.run(model, self._give_way)

    def _give_way(self) -> bool:
        with self._changed:
            wanted = self._slot.needs_loading or self._next_beside() is not None
            return self._stopping or wanted or (self._board.waiting() > 0 and not self._board.paused)

    def dashboards(self) -> float | None:
        """The share that is built; None if there are none of the loaded model, and none are being built."""
        model = self._slot.model
        return None if model is None else self._background.share(model)

    def collects_dashboards(self) -> bool:
        """Are they being built, or will they be when there is time."""
        return self._background.wanted(self._slot.model)

    def _do(self, job: Job) -> None:
        model, progress = self._slot.model, partial(self._on_job, job)
        assert model is not None and job.tracker is not None  # jobs are queued only while a model is loaded
        state, error, warning = JobState.DONE, None, None
        try:
            if isinstance(job.request, RunRequest):
                tracker = expected(job.request, job.key, model, self.cache)
                with self._changed:
                    job.tracker = tracker
                owner = self._owner(job.request.author.id)
                run_hypothesis(job.request, job.key, model, self._shelf, owner, progress, self._let_traces_go_first)
            else:
                graph = self._trace(job.request, model, self._slot.loaded, progress)
                if not self._shelf.put(job.key, graph, self._owner(job.owner)):
                    warning = "this graph could not be kept on disk: save it, or it is lost when the server restarts"
        except tracer.Cancelled:
            state = JobState.CANCELLED
        except Exception as caught:
            state, error = JobState.FAILED, explain(caught, _ADVICE[job.request.kind])
        if error is not None:
            release_memory()
        with self._changed:
            if state is JobState.DONE:
                job.warning = warning
                job.tracker.finish()
            self._board.end(job, state, error)
            self._changed.notify_all()

    def _let_traces_go_first(self) -> None:
        """Between two prompts of a run."""
        while True:
            with self._changed:
                job = None if self._stopping else self._board.start_between()
            if job is None:
                return
            self._do(job)

    def _on_job(self, job: Job, phase: str, fraction: float) -> None:
        with self._changed:
            if job.cancel_requested or (self._stopping and job.request.kind == "run"):  # a run goes on another day
                raise tracer.Cancelled
            assert job.tracker is not None
            job.tracker.report(phase, fraction)

    # -- under the lock -----------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        self._worker = threading.Thread(target=self._work, name="hypograph-worker", daemon=True)
        self._worker.start()

    def _supervise(self) -> None:
        """A thread can be killed (by an exit call in a library, say): end its job, start another thread."""
        if self._worker is None or self._worker.is_alive() or self._stopping:
            return
        log.error("the worker thread died; starting another")
        while self._board.running is not None:  # and one that rested meanwhile
            self._board.end(self._board.running, JobState.FAILED, "interrupted; run it again")
        for beside in self._others.values():
            if beside.loading:
                beside.fail("loading was interrupted; try again")
        if self._slot.loading:  # the person decides: a load that kills its thread would do so for ever
            self._slot.fail("loading was interrupted; try again")
        self._spawn()
        self._changed.notify_all()

    def _ready_model(self) -> tracer.ReplacementModel:
        if self._stopping:
            raise Refused("the server is stopping: try again when it is back")
        if self._slot.error is not None:
            raise Refused(f"the model could not be loaded: {self._slot.error}")
        if self._slot.model is None or self._slot.needs_loading:
            raise Refused(f"the model {self._slot.wanted.model} is still being loaded: try again when it is ready")
        return self._slot.model

    def _check_room(self, model: tracer.ReplacementModel, by: Person) -> None:
        """Raises Refused where this person can queue no job for this model now."""
        if self._ready_model() is not model:
            raise Refused("the model was changed meanwhile: submit it again")
        if self._board.waiting() >= self.settings.queue:
            raise Refused(f"{self.settings.queue} jobs are waiting already (HYPOGRAPH_QUEUE): try again later")
        if self._board.waiting(by.id) >= self.settings.queue_person:
            own = self.settings.queue_person
            raise Refused(f"{own} jobs of yours are waiting already (HYPOGRAPH_QUEUE_PERSON): let one finish first")

    def _queued(self, job: Job, model: tracer.ReplacementModel, by: Person) -> JobView:
        """List a job that is over, or queue it for this model. Raises Refused."""
        if job.finished is None:
            self._check_room(model, by)
        self._board.add(job)
        self._changed.notify_all()
        return self._board.view(job)

"""Runs of hypotheses in the queue: progress, cancel, going on, traces that go first. The tiny model is a real one."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tracer
from lab import HypothesisFile, Lab, Person
from lab.runs.conclude import result
from service import JobState, JobView, Refused, RunRequest, Service, Settings, TraceRequest
from tests.helpers import somebody
from tests.lab.runs import tiny
from tests.service.fake_engine import until
from tracer import ReplacementModel

ANN, BOB = somebody("ann"), somebody("bob")


@pytest.fixture(autouse=True)
def graph_class() -> None:
    """Real graphs here."""


class Slow:
    """The model, which waits at the gate before each prompt's batch."""

    def __init__(self) -> None:
        self.model = tiny.model()
        self.gate = threading.Semaphore(0)
        self.at_gate = 0
        self.prompts: list[int] = []  # how long each was that came through
        steer_many = self.model.steer_many

        def slowly(*args: Any, conditions: Any, progress: Any = tracer.errors.silent, **named: Any) -> Any:
            if len(conditions) > 17:  # the estimate's are fewer, off-target prompts have one
                self.at_gate += 1
                while not self.gate.acquire(timeout=0.01):
                    progress("baseline", 0.0)
                self.prompts.append(len(named["tokens"]))
            return steer_many(*args, conditions=conditions, progress=progress, **named)

        self.model.steer_many = slowly  # type: ignore[method-assign]

    def load(self, *_: Any, **__: Any) -> ReplacementModel:
        return self.model

    def open(self) -> None:
        self.gate.release(1000)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab
    lab.close()


@pytest.fixture
def service(settings: Settings, slow: Slow) -> Iterator[Service]:
    service = Service(settings, load=slow.load)
    service.start()
    until(lambda: service.model_state().state == "ready")
    yield service
    slow.open()
    assert service.stop(5)


def request(lab: Lab, ada: Person, **options: Any) -> RunRequest:
    return RunRequest(lab, ada, HypothesisFile(hypothesis=tiny.hypothesis()), **options)


def finish(service: Service, job: JobView) -> JobView:
    view = service.wait(job.id, 30)
    assert view is not None and view.over
    return view


def see(service: Service, job: JobView) -> JobView:
    view = service.job(job.id)
    assert view is not None
    return view


def test_a_run_with_progress_and_estimate(service: Service, slow: Slow, lab: Lab, ada: Person) -> None:
    job = service.submit_run(request(lab, ada), ANN)
    assert (job.kind, job.summary, job.n_tokens) == ("run", "Tiny", 0)
    assert service.submit_run(request(lab, ada), BOB).id == job.id  # joined
    slow.gate.release(3)
    until(lambda: slow.at_gate == 4)
    view = see(service, job)
    assert (view.state, view.phase, view.watchers) == (JobState.RUNNING, "prompts", (ANN.id, BOB.id))
    assert 0.3 < view.fraction < 0.9 and view.eta is not None and view.eta > 0
    slow.open()
    assert finish(service, job).state is JobState.DONE
    run = lab.get(job.key, ada)
    found = result(run.head.body, run.created, lab.figures(run.id, ada))
    assert found.complete and found.verdict is not None


def test_a_cancelled_run_goes_on(service: Service, slow: Slow, lab: Lab, ada: Person) -> None:
    job = service.submit_run(request(lab, ada), ANN)
    slow.gate.release(3)
    until(lambda: slow.at_gate == 4)
    service.cancel(job.id, ANN)
    assert finish(service, job).state is JobState.CANCELLED
    assert len(lab.figures(job.key, ada).prompts) == 4  # and one that is left out
    slow.open()
    again = service.submit_run(request(lab, ada), ANN)
    assert again.id != job.id and again.key == job.key
    assert finish(service, again).state is JobState.DONE
    assert len(slow.prompts) == 7  # none twice


def test_traces_go_first_between_two_prompts(service: Service, slow: Slow, lab: Lab, ada: Person) -> None:
    job = service.submit_run(request(lab, ada), ANN)
    until(lambda: slow.at_gate == 1)
    trace = service.submit(TraceRequest((0, 6, 11), max_nodes=20), BOB)
    second = service.submit_run(request(lab, ada, full_grid=True), BOB)
    assert (trace.state, second.position) == (JobState.QUEUED, 2)
    slow.gate.release(1)
    assert finish(service, trace).state is JobState.DONE
    until(lambda: slow.at_gate == 2)
    assert see(service, job).state is JobState.RUNNING
    assert see(service, second).state is JobState.QUEUED
    slow.open()
    assert [finish(service, one).state for one in (job, second)] == [JobState.DONE] * 2


def test_a_stop_ends_a_run_and_the_record_has_what_is_finished(
    service: Service, slow: Slow, lab: Lab, ada: Person
) -> None:
    job = service.submit_run(request(lab, ada), ANN)
    slow.gate.release(2)
    until(lambda: slow.at_gate == 3)
    assert service.stop(5)
    assert see(service, job).state is JobState.CANCELLED
    assert len(lab.figures(job.key, ada).prompts) == 3


def test_graphs_of_a_run_that_predicts_are_kept(service: Service, slow: Slow, lab: Lab, ada: Person) -> None:
    slow.open()
    job = service.submit_run(request(lab, ada, predicts=True), ANN)
    assert finish(service, job).state is JobState.DONE
    assert len(service.cache.recent(10)) == 7
    run = lab.get(job.key, ada)
    found = result(run.head.body, run.created, lab.figures(run.id, ada))
    assert found.findings is not None and found.findings.agreement is not None


LONG = {"donor": {"text": "w1 " * 9, "slots": {"name": {"text": "w1", "start": 3}}}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: {"prompts": tiny.prompts(4)}, "4 units can't reach"),
        (lambda: {"model_fingerprint": "1" * 64}, "load what it names"),
        (lambda: {"off_target": [{"text": "w1 " * 9, "slots": {"name": {"text": "w1", "start": 3}}}]}, "has 10 tokens"),
        (lambda: {"prompts": [one | LONG for one in tiny.prompts()]}, r"the donor of prompt 1 .* has 10 tokens"),
    ],
)
def test_refusals(service: Service, lab: Lab, ada: Person, change: Callable[[], dict[str, Any]], says: str) -> None:
    file = HypothesisFile(hypothesis=tiny.hypothesis(**change()))
    with pytest.raises(Refused, match=says):
        service.submit_run(RunRequest(lab, ada, file), ANN)
    assert service.jobs() == []


def test_a_full_queue_writes_no_run(service: Service, slow: Slow, lab: Lab, ada: Person) -> None:
    service.submit_run(request(lab, ada), ANN)
    until(lambda: slow.at_gate == 1)
    for n in range(4):
        service.submit(TraceRequest((0, 6, n), max_nodes=20), BOB)
    with pytest.raises(Refused, match="4 jobs are waiting already"):
        service.submit_run(request(lab, ada, anew=True), ANN)
    assert len(lab.find("run", ada)) == 1


def test_a_run_that_fails_says_so_in_one_line(service: Service, slow: Slow, lab: Lab, ada: Person) -> None:
    job = service.submit_run(request(lab, ada), ANN)
    until(lambda: slow.at_gate == 1)
    lab.delete(job.key, ada)
    slow.open()
    over = finish(service, job)
    assert (over.state, over.error) == (JobState.FAILED, "this run was deleted in the meantime: restore it, then go on")


@pytest.mark.parametrize("anew", [False, True])
def test_two_who_ask_at_once_begin_one_run(service: Service, slow: Slow, lab: Lab, ada: Person, anew: bool) -> None:
    create, together, found = lab.create, threading.Barrier(2), []

    def slowly(*args: Any, **named: Any) -> Any:
        time.sleep(0.1)  # after it was looked for, before it is there
        return create(*args, **named)

    def ask(who: Person) -> None:
        together.wait(5)
        found.append(service.submit_run(request(lab, ada, anew=anew), who))

    lab.create = slowly  # type: ignore[method-assign]
    both = [threading.Thread(target=ask, args=(who,)) for who in (ANN, BOB)]
    for one in both:
        one.start()
    for one in both:
        one.join(10)
    assert len({job.id for job in found}) == 1 and len(lab.find("run", ada)) == 1
    slow.open()
    finish(service, found[0])

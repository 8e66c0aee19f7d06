"""The queue is for all: turns, limits, what an admin may do with it."""

import pytest

from lab import Person, Role
from service import JobState, JobView, Refused, Service, TraceRequest
from tests.helpers import somebody
from tests.service.fake_engine import FakeEngine, until

ROOT, ANN, BOB = somebody("root"), somebody("ann", Role.EDITOR), somebody("bob", Role.EDITOR)


def ask(service: Service, token: int, who: Person) -> JobView:
    return service.submit(TraceRequest((token,)), who)


def see(service: Service, job: JobView) -> JobView:
    view = service.job(job.id)
    assert view is not None
    return view


def test_one_person_with_many_does_not_hold_up_another(service: Service, engine: FakeEngine) -> None:
    engine.brake.clear()
    ask(service, 0, ANN)
    until(lambda: engine.traced == [(0,)] or service.jobs()[0].phase == "sweep")
    jobs = [ask(service, 1, ANN), ask(service, 2, ANN), ask(service, 3, BOB)]
    assert [see(service, job).position for job in jobs] == [2, 3, 1]
    engine.brake.set()
    for job in jobs:
        service.wait(job.id, 10)
    assert engine.traced == [(0,), (3,), (1,), (2,)]


def test_each_has_a_limit_of_their_own(service: Service, engine: FakeEngine) -> None:
    service.settings.__dict__["queue_person"] = 2  # frozen for everybody else
    engine.brake.clear()
    first = ask(service, 0, ANN)
    until(lambda: see(service, first).state is JobState.RUNNING)
    ask(service, 1, ANN)
    ask(service, 2, ANN)
    with pytest.raises(Refused, match="2 jobs of yours are waiting"):
        ask(service, 3, ANN)
    ask(service, 3, BOB)
    engine.brake.set()


def test_how_long_it_waits(service: Service, engine: FakeEngine) -> None:
    done = ask(service, 9, ANN)
    service.wait(done.id, 10)  # now it is known how long one takes
    engine.brake.clear()
    first = ask(service, 0, ANN)
    until(lambda: see(service, first).phase == "sweep")
    second, third = see(service, ask(service, 1, ANN)), see(service, ask(service, 2, ANN))
    assert second.wait is not None and third.wait is not None and 0 < second.wait < third.wait
    service.pause(True, ROOT)
    assert see(service, second).wait is None
    service.pause(False, ROOT)
    engine.brake.set()


def test_a_held_queue_starts_nothing_and_forgets_nothing(service: Service, engine: FakeEngine) -> None:
    service.pause(True, ROOT)
    job = ask(service, 1, ANN)
    service.switch_model("second", "neurons", ROOT)  # waits for what was asked of the first
    assert service.wait(job.id, 0.3) is not None and see(service, job).state is JobState.QUEUED
    assert engine.loads == ["first"]
    service.pause(False, ROOT)
    assert service.wait(job.id, 10).state is JobState.DONE  # type: ignore[union-attr]
    until(lambda: engine.loads == ["first", "second"])


@pytest.mark.parametrize("runs", [True, False])
def test_an_admin_cancels_it_for_all_who_are_told(service: Service, engine: FakeEngine, runs: bool) -> None:
    engine.brake.clear()
    job = ask(service, 0, ANN)
    until(lambda: see(service, job).phase == "sweep")
    if not runs:
        job = ask(service, 1, ANN)
    ask(service, 0 if runs else 1, BOB)
    service.cancel_for_all(job.id, ROOT)
    over = service.wait(job.id, 10)
    assert over is not None
    assert (over.state, over.error, over.watchers) == (JobState.CANCELLED, "root cancelled it", ("ann", "bob"))
    engine.brake.set()

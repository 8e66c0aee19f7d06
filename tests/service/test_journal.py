"""What a crash cut off is there after it: with a real record, and servers that come and go."""

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from lab import Lab, Person, Role, Unreachable
from lab.schema import AskedRow
from service import JobState, Refused, Service, Settings, TraceRequest
from tests.service.fake_engine import FakeEngine, until


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    lab = Lab(settings.database)
    yield lab
    lab.close()


@pytest.fixture
def server(settings: Settings, engine: FakeEngine, lab: Lab) -> Iterator[Service]:
    with serving(settings, engine, lab) as service:
        yield service


class serving:
    def __init__(self, settings: Settings, engine: FakeEngine, lab: Lab) -> None:
        self.service = Service(settings, engine.load, lab)

    def __enter__(self) -> Service:
        self.service.start()
        until(lambda: self.service.model is not None)
        return self.service

    def __exit__(self, *_: object) -> None:
        self.service.stop(5)


def written(lab: Lab) -> int:
    with lab._session() as session:
        return session.scalar(select(func.count()).select_from(AskedRow)) or 0


def test_what_waits_and_runs_is_cut_off_and_run_again(
    settings: Settings, engine: FakeEngine, lab: Lab, ada: Person, ben: Person
) -> None:
    with serving(settings, engine, lab) as first:
        engine.brake.clear()
        running = first.submit(TraceRequest((1,), prompt="one"), ada)
        until(lambda: first.jobs()[0].state is JobState.RUNNING)
        first.submit(TraceRequest((2,), prompt="two"), ada)
        first.submit(TraceRequest((4,), prompt="four"), ada)
        first.submit(TraceRequest((1,), prompt="one"), ben)  # joins
        first.submit(TraceRequest((3,)), ben)
        first.cancel(first.jobs()[0].id, ben)
        until(lambda: written(lab) == 4)
        assert first.stop(0.1)  # the running one is given up too
    assert running.state is not JobState.DONE
    engine.brake.set()
    with serving(settings, engine, lab) as second:
        until(lambda: len(second.interrupted(ada)) == 3)
        assert [one.asked.request.prompt for one in second.interrupted(ada)] == ["one", "two", "four"]
        (theirs,) = second.interrupted(ben)
        assert second.wait(second.run_again(theirs.id, ben).id, 10).state is JobState.DONE  # type: ignore[union-attr]
        assert second.interrupted(ben) == []
        assert [one.asked.request.prompt for one in second.interrupted(ada)] == ["two", "four"], "one is traced since"
        assert len(lab.cut_off(ada)) == 2
        with pytest.raises(Refused, match="run again already"):
            second.run_again(theirs.id, ben)
        second.forget_interrupted(second.interrupted(ada)[0].id, ada)
        (left,) = second.interrupted(ada)
        second.switch_model("first", "another set", Person(ada.id, "Ada", Role.ADMIN))
        until(lambda: second.model_state().features == "another set" and second.model is not None)
        with pytest.raises(Refused, match="it was asked of first with neurons: load that first"):
            second.run_again(left.id, ada)
        second.switch_model("second", "neurons", Person(ada.id, "Ada", Role.ADMIN))
        until(lambda: second.model_state().name == "second" and second.model is not None)
        with pytest.raises(Refused, match="it was asked of first with neurons: load that first"):
            second.run_again(left.id, ada)
        second.wait(second.submit(left.asked.request, ada).id, 10)
        assert second.interrupted(ada) == [left], "what the other model traced is not it"


def test_what_can_not_be_written_down_holds_up_nothing_else(
    server: Service, engine: FakeEngine, lab: Lab, ada: Person
) -> None:
    """Somebody was erased between their click and the journal's turn."""
    engine.brake.clear()
    server.submit(TraceRequest((1,)), Person("erased", "Nobody", Role.EDITOR))
    server.submit(TraceRequest((2,)), ada)
    until(lambda: written(lab) == 1)
    engine.brake.set()


def test_what_is_over_leaves_nothing(server: Service, engine: FakeEngine, lab: Lab, ada: Person) -> None:
    for tokens in ((1,), (2,)):
        server.wait(server.submit(TraceRequest(tokens), ada).id, 10)
    engine.brake.clear()
    job = server.submit(TraceRequest((3,)), ada)
    until(lambda: written(lab) == 1)
    server.cancel(job.id, ada)
    until(lambda: written(lab) == 0)
    engine.brake.set()


def test_a_record_that_does_not_answer_holds_nothing_up(
    server: Service,
    lab: Lab,
    ada: Person,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keep, gone = lab.keep_asked, True

    def silent(*args: str) -> None:
        if gone:
            raise Unreachable("the record can't be written now")
        keep(*args)

    monkeypatch.setattr(lab, "keep_asked", silent)
    engine.brake.clear()
    with caplog.at_level(logging.WARNING):
        server.submit(TraceRequest((1,)), ada)
        until(lambda: "the journal waits for the record" in caplog.text)
    assert written(lab) == 0
    gone = False
    until(lambda: written(lab) == 1)
    engine.brake.set()
    until(lambda: written(lab) == 0)


def test_two_servers_on_one_folder_keep_theirs_apart(
    settings: Settings, server: Service, engine: FakeEngine, lab: Lab, ada: Person
) -> None:
    engine.brake.clear()
    server.submit(TraceRequest((1,)), ada)
    until(lambda: written(lab) == 1)
    with serving(settings, engine, lab) as other:
        assert other.interrupted(ada) == []
    engine.brake.set()


def test_a_request_of_another_version_is_dropped(settings: Settings, server: Service, lab: Lab, ada: Person) -> None:
    lab.keep_asked("old", ada.id, "gone", '{"tokens": "?"}')
    lab.server_starts("gone")
    assert server.interrupted(ada) == [] and lab.cut_off(ada) == []

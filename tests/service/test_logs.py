"""What the log of a server says of jobs, and what it never says."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import tracer
from service import Service, Settings, TraceRequest
from service.logs import json_lines
from tests.helpers import somebody
from tests.service.fake_engine import FakeEngine, until

ANN, BOB = somebody("ann"), somebody("bob")
CANARY = "the canary sings at dawn"
SECRET = "s3cret-of-the-lab"


class Log:
    """All that loggers say, as the server writes it."""

    def __init__(self, prompts: bool = False) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(json_lines([SECRET, "abc"], prompts))

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        said = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in said if line["event"].startswith(event)]


@pytest.fixture
def log() -> Iterator[Log]:
    yield from _listening(Log())


def _listening(log: Log) -> Iterator[Log]:
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(log.handler)
    root.setLevel(logging.INFO)
    yield log
    root.removeHandler(log.handler)
    root.setLevel(level)


def ask(*tokens: int) -> TraceRequest:
    return TraceRequest(tokens=tokens, prompt=CANARY)


def test_what_happens_to_jobs(service: Service, engine: FakeEngine, log: Log) -> None:
    engine.brake.clear()
    job = service.submit(ask(1, 2), ANN)
    until(lambda: log.lines("job started"))
    service.submit(ask(1, 2), BOB)
    engine.brake.set()
    assert service.wait(job.id, 10)
    service.submit(ask(1, 2), BOB)
    asked, started, joined, over, found = log.lines("job ")
    assert {line["job"] for line in (asked, joined, started, over)} == {job.id} and found["job"] != job.id
    assert (asked["person"], joined["person"], found["person"]) == ("ann", "bob", "bob")
    assert over["persons"] == ["ann", "bob"] and over["outcome"] == "done" and over["seconds"] >= 0
    assert all(line["timestamp"].endswith("Z") and line["level"] == "info" for line in log.lines())


@pytest.mark.parametrize("prompts", [False, True])
def test_no_prompt_unless_it_is_allowed(settings: Settings, engine: FakeEngine, prompts: bool) -> None:
    """Not of a job that is done, cancelled or failed, whatever the exception says."""
    log = Log(prompts)
    for _ in _listening(log):
        service = Service(replace(settings, log_prompts=prompts), load=engine.load)
        service.start()
        until(lambda service=service: service.model is not None)
        for trouble in (None, ValueError(f"no token in {CANARY!r}"), tracer.TracerError(CANARY), MemoryError(CANARY)):
            engine.trouble = trouble
            view = service.wait(service.submit(ask(len(engine.traced)), ANN).id, 10)
            assert view is not None and view.over
        engine.brake.clear()
        job = service.submit(ask(9), ANN)
        service.cancel(job.id, ANN)
        engine.brake.set()
        assert service.wait(job.id, 10) and service.stop(10)
    outcomes = [line["outcome"] for line in log.lines("job over")]
    assert outcomes == ["done", "failed", "failed", "failed", "cancelled"]
    assert [line["level"] for line in log.lines("job over")][:2] == ["info", "warning"]
    assert (CANARY in log.stream.getvalue()) is prompts
    (unexpected,) = log.lines("unexpected error")
    assert unexpected["error"] == "ValueError" and unexpected["level"] == "error"
    assert any("fake_engine.py" in place and "fail_if_asked" in place for place in unexpected["traceback"])


def test_no_secret_and_no_address(log: Log) -> None:
    try:
        raise RuntimeError("inner") from KeyError(SECRET)
    except RuntimeError:
        logging.getLogger("some.library").exception(
            "at %s as ann@lab.example with %s, abc",
            "postgresql://lab:pass/w@rd@db/lab",
            [SECRET],
            extra={SECRET: {1: SECRET}},
        )
    written = log.stream.getvalue()
    for secret in (SECRET, "ann@lab.example", "pass/w", "rd@db"):
        assert secret not in written
    (line,) = log.lines()
    assert line["event"] == "at postgresql://…@db/lab as …@… with ['…'], abc", "what is short would black out words"
    assert line["logger"] == "some.library" and line["traceback"][-1] == "RuntimeError"
    assert "KeyError" in line["traceback"], "what led to it"


def test_lines_stay_lines(log: Log) -> None:
    """Whoever writes a line break forges no entry."""
    logging.getLogger("x").warning('a\n{"event": "job over"}\x1b[31m')
    assert [line["event"] for line in log.lines()] == ['a\n{"event": "job over"}\x1b[31m']
    assert log.stream.getvalue().count("\n") == 1 and "\x1b" not in log.stream.getvalue()


def test_asyncio_tells_no_error_of_a_task(log: Log) -> None:
    """It writes whole tasks, with what their errors say and what a callback was called with."""
    logging.getLogger("asyncio").error(f"Task exception was never retrieved\nfuture: <Task ValueError({CANARY!r})>")
    logging.getLogger("asyncio").error(f"Exception in callback tell({CANARY!r}) at app.py:1")
    assert [line["event"] for line in log.lines()] == [
        "Task exception was never retrieved",
        "Exception in callback tell",
    ]

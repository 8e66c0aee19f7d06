"""What is spared from garbage collection while a model is used is given back with it; what is freed, by an idle
server."""

import gc
import threading
import weakref

import pytest

from service import Service, Settings, service, trouble
from tests.service.fake_engine import FakeEngine


class Model:
    """Only a collection finds out that nobody has it any more."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_spared_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "gc", gc)  # tests/conftest.py has spared what is imported for good
    model = Model()
    old = weakref.ref(model)
    try:
        trouble.spare_long_lived()
        del model
        gc.collect()
        assert old() is not None, "a collection does not look at it"
        trouble.release_memory()
        assert old() is None
    finally:
        gc.freeze()


def test_an_idle_server_gives_back_what_was_freed(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = threading.Event()
    monkeypatch.setattr(service, "_IDLE", 0.05)
    monkeypatch.setattr(service, "trim", given.set)
    idle = Service(settings, engine.load)
    try:
        assert not given.wait(0.2), "nothing has started"
        idle.start()
        assert given.wait(10)
        given.clear()
        assert given.wait(10), "again and again: pages are read without a job"
    finally:
        assert idle.stop(5)

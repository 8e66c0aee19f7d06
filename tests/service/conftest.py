from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import tracer
from service import Service, Settings
from tests.service.fake_engine import FakeEngine, FakeGraph, until


@pytest.fixture(autouse=True)
def graph_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "Graph", FakeGraph)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(
        Settings.from_env(),
        home=tmp_path,
        cache=tmp_path / "cache",
        cache_gb=0.01,
        database=f"sqlite:///{tmp_path}/lab.sqlite",
        model="first",
        device="cpu",
        max_tokens=8,
        queue=4,
    )


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def cold(settings: Settings, engine: FakeEngine) -> Iterator[Service]:
    """Not started."""
    service = Service(settings, load=engine.load)
    yield service
    engine.load_brake.set()
    engine.brake.set()
    assert service.stop(5)


@pytest.fixture
def service(cold: Service) -> Service:
    """With the model loaded."""
    cold.start()
    until(lambda: cold.model_state().state == "ready")
    return cold

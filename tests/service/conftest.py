from collections.abc import Iterator
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
    return Settings(
        home=tmp_path,
        cache=tmp_path / "cache",
        cache_gb=0.01,
        database=f"sqlite:///{tmp_path}/lab.sqlite",
        model="first",
        features="neurons",
        device="cpu",
        dtype="auto",
        offload=False,
        build_dashboards=False,
        max_tokens=8,
        queue=4,
        import_mb=1,
        import_nodes=1000,
        import_edges=10_000,
        import_depth=50,
        neuronpedia="",
        neuronpedia_key="",
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

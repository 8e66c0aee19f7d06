from pathlib import Path

import pytest

import tracer
from cache import GraphCache
from tests.cache.fake_graph import MB, FakeGraph


@pytest.fixture(autouse=True)
def graph_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "Graph", FakeGraph)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "graphs"


@pytest.fixture
def graphs(folder: Path) -> GraphCache:
    return GraphCache(folder, 10 * MB)

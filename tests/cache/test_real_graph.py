"""The engine's own graphs through the cache: what comes back is what went in."""

import hashlib
import json

import numpy as np
import pytest
from scipy import sparse

import tracer
from cache import GraphCache
from tests.cache.fake_graph import MB
from tracer import Graph
from tracer.graph.file import Target
from tracer.graph.layout import Layout


@pytest.fixture
def graph(graph_class: None, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setattr(tracer, "Graph", Graph)
    one, two = np.array([0, 1]), np.array([1, 1])
    layout = Layout(one, two, np.array([7, 9]), n_layers=2, n_tokens=2, n_targets=1)
    n = layout.n_nodes
    return Graph(
        layout=layout,
        activation=np.array([0.5, 2.0], dtype=np.float32),
        targets=[Target(" yes", 3, 0.9, 1.0, 4.0)],
        adjacency=sparse.csr_array(np.tril(np.random.default_rng(0).random((n, n), dtype=np.float32))),
        token_ids=[2, 5],
        meta={
            "prompt": "é",
            "tokens": ["<bos>", "é"],
            "model": "tiny",
            "features": "neurons",
            "model_fingerprint": "0" * 64,
            "excluded": [0],
            "n_active": 2,
        },
    )


def test_a_real_graph_comes_back(graphs: GraphCache, graph: Graph) -> None:
    assert graphs.put("k", graph)
    again = graphs.get("k")
    assert again is not None
    assert (again.adjacency != graph.adjacency).nnz == 0
    assert (again.meta, again.token_ids, again.targets) == (graph.meta, graph.token_ids, graph.targets)
    assert graphs.recent(1)[0].meta == graph.meta


@pytest.mark.parametrize("data", [b"", b"\0" * 99, b"\xff" * 99, b"{}"], ids=repr)
def test_what_the_engine_cannot_read_is_a_miss(graphs: GraphCache, graph: Graph, data: bytes) -> None:
    graphs._cache.set("k", data, tag=json.dumps({"sha256": hashlib.sha256(data).hexdigest(), "meta": {}}))
    assert graphs.get("k") is None
    assert "k" not in graphs


def test_a_large_real_graph_is_one_file(graphs: GraphCache, graph: Graph) -> None:
    graph.meta["note"] = "x" * MB  # a large meta too is listed without the graph
    assert graphs.put("k", graph)
    assert graphs.get("k") is not None
    assert graphs.volume() < 4 * MB

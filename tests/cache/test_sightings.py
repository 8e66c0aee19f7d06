"""Where else a feature is a node: found in the newest graphs, from their node lists alone."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import tracer
from cache import GraphCache, Sightings
from cache import sightings as module
from tracer import Graph, TracerError
from tracer.graph.file import Target
from tracer.graph.layout import Layout


@pytest.fixture(autouse=True)
def real_graphs(graph_class: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "Graph", Graph)


def graph(prompt: str, features: list[tuple[int, int, int, float]], model: str = "m", basis: str = "b") -> Graph:
    """`features`: layer, position, feature, activation."""
    columns = [np.array(column) for column in zip(*features, strict=True)]
    tokens = ["<bos>", "one", "two"]
    layout = Layout(*columns[:3], n_layers=3, n_tokens=len(tokens), n_targets=1)
    return Graph(
        layout=layout,
        activation=columns[3].astype(np.float32),
        targets=[Target(" yes", 3, 0.9, 1.0, 4.0)],
        adjacency=sparse.csr_array((layout.n_nodes, layout.n_nodes), dtype=np.float32),
        token_ids=[0, 1, 2],
        meta={
            "prompt": prompt,
            "tokens": tokens,
            "model": "tiny",
            "features": "neurons",
            "model_fingerprint": model,
            "basis_fingerprint": basis,
            "excluded": [0],
            "n_active": len(features),
        },
    )


def test_it_is_found_where_it_is_strongest(graphs: GraphCache) -> None:
    graphs.put("a", graph("first", [(0, 1, 7, 0.5), (1, 1, 7, 1.0), (1, 2, 7, -3.0)]))
    graphs.put("b", graph("second", [(1, 1, 7, 2.0), (1, 1, 8, 9.0)]))
    graphs.put("c", graph("without it", [(1, 1, 8, 2.0), (2, 1, 7, 2.0)]))
    graphs.put("d", graph("another model", [(1, 1, 7, 5.0)], model="n"))
    graphs.put("e", graph("other features", [(1, 1, 7, 5.0)], basis="c"))
    found = Sightings(graphs).find("m", "b", 1, 7)
    assert [(s.key, s.prompt, s.node, s.token, s.position, s.activation, s.n_positions) for s in found] == [
        ("a", "first", "1_7_2", "two", 2, -3.0, 2),
        ("b", "second", "1_7_1", "one", 1, 2.0, 1),
    ]


def test_a_large_graph_is_read_from_its_file_without_the_matrix(graphs: GraphCache, folder: Path) -> None:
    large = graph("large", [(1, 1, i, 1.0) for i in range(5000)])
    graphs.put("a", large)
    (path,) = folder.glob("*/*/*.val")
    nodes = graphs.feature_nodes("a")
    assert nodes is not None and nodes.of(1, 4321) == [(1, 1.0)] and len(nodes.layer) == 5000
    data = bytearray(path.read_bytes())
    matrix = large.to_bytes().rindex(large.adjacency.indptr.astype(np.int64).tobytes()[-64:])
    data[matrix : matrix + 64] = b"\xff" * 64
    path.write_bytes(data)
    assert graphs.feature_nodes("a") is not None  # it was not looked at
    assert graphs.get("a") is None  # but who opens the graph sees that it is spoiled


def test_looking_does_not_make_a_graph_more_recently_used(graphs: GraphCache) -> None:
    for key in "ab":
        graphs.put(key, graph(key, [(1, 1, 7, 1.0)]))
    before = graphs._rows("SELECT key, access_time FROM Cache ORDER BY key LIMIT ?", 9)
    assert len(Sightings(graphs).find("m", "b", 1, 7)) == 2
    assert graphs._rows("SELECT key, access_time FROM Cache ORDER BY key LIMIT ?", 9) == before


def test_each_list_is_read_once_and_forgotten_with_its_graph(
    graphs: GraphCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NEWEST", 3)
    read: list[str] = []
    real = graphs.feature_nodes
    monkeypatch.setattr(graphs, "feature_nodes", lambda key: (read.append(key), real(key))[1])
    sightings = Sightings(graphs)
    for number in range(10):
        graphs.put(f"g{number}", graph("p", [(1, 1, 7, 1.0)]))
        found = sightings.find("m", "b", 1, 7)
        assert {s.key for s in found} == {f"g{i}" for i in range(max(0, number - 2), number + 1)}
    assert read == [f"g{number}" for number in range(10)]
    assert len(sightings._known) <= 2 * 3 + 1
    graphs.delete("g9")
    assert [s.key for s in sightings.find("m", "b", 1, 7) if s.key == "g9"] == []


def test_what_is_no_graph_is_passed_over(graphs: GraphCache, folder: Path) -> None:
    graphs.put("a", graph("p", [(1, 1, i, 1.0) for i in range(5000)]))
    (path,) = folder.glob("*/*/*.val")
    for content in (b"", b"no safetensors", path.read_bytes()[:1000]):
        path.write_bytes(content)
        assert Sightings(graphs).find("m", "b", 1, 7) == []
    path.unlink()
    assert Sightings(graphs).find("m", "b", 1, 7) == [] and graphs.feature_nodes("nowhere") is None
    with pytest.raises(TracerError, match="not a readable graph file"):
        tracer.feature_nodes(b"\x00" * 8)

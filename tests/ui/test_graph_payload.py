"""What the canvas is told of a graph."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tests.helpers import PROMPT, replacement, tiny_llama
from tracer.graph.layout import Layout
from ui import graph_payload
from ui.graph_payload import drawn, feature_positions_of, graph_view


def layout(*features: tuple[int, int, int]) -> Layout:
    """Of features given as (layer, position, feature), of a model with two layers and a prompt of four tokens."""
    columns = np.array(sorted(features), dtype=np.int64).reshape(-1, 3).T
    return Layout(*columns, n_layers=2, n_tokens=4, n_targets=1)


def test_at_how_many_positions_a_feature_is_a_node() -> None:
    """Feature 7 of layer 0 at three positions; feature 7 of layer 1 is another feature. Position 0 has none."""
    found, positions = feature_positions_of(layout((0, 1, 7), (0, 1, 8), (0, 2, 7), (0, 3, 7), (1, 3, 7)))
    assert found[:5].tolist() == [3, 1, 3, 3, 1]
    assert not found[5:].any(), "errors, tokens, logits and bias nodes have no such number"
    assert positions == 3


def test_a_graph_without_features() -> None:
    found, positions = feature_positions_of(layout())
    assert not found.any() and positions == 0


def test_each_node_keeps_its_strongest_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a plain search, on a random matrix; then cut to the strongest by score."""
    chance = np.random.default_rng(0)
    matrix = sparse.csr_array(np.where(chance.random((60, 60)) < 0.3, chance.random((60, 60)), 0))
    strength, rows, columns = matrix.data, np.repeat(np.arange(60), np.diff(matrix.indptr)), matrix.indices
    near = set()
    for group in (rows, columns):
        for node in range(60):
            mine = np.flatnonzero(group == node)
            near |= set(mine[np.argsort(-strength[mine])][:5].tolist())
    assert 100 < len(near) < len(strength)
    reach = chance.random(60)
    score = strength * reach[rows]
    best = sorted(near, key=lambda edge: -score[edge])
    others = [edge for edge in np.argsort(-score).tolist() if edge not in near]
    for most, want in ((40, best[:40]), (len(near) + 7, best + others[:7]), (10_000, best + others)):
        monkeypatch.setattr(graph_payload, "MAX_EDGES", most)
        assert drawn(matrix, strength, reach).tolist() == want


def test_no_edges_at_all() -> None:
    assert len(drawn(sparse.csr_array((3, 3)), np.empty(0), np.ones(3))) == 0


def test_scores_and_shares_are_those_of_what_is_kept() -> None:
    """Against the graph with all else struck out of its matrix."""
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=40)
    view = graph_view("kept", graph, 0.5, 0.9)
    whole = graph.adjacency.toarray()
    struck = np.where(view.pruned.edge_mask, whole, 0)
    alone = replace(graph, adjacency=sparse.csr_array(struck)).scores()
    assert view.scores == pytest.approx((alone.replacement, alone.completeness))
    assert view.whole_scores == pytest.approx((graph.scores().replacement, graph.scores().completeness))
    assert max(abs(a - b) for a, b in zip(view.scores, view.whole_scores, strict=True)) > 0.01
    nodes, edges = view.canvas["nodes"], view.canvas["edges"]
    for id, kind, kept in zip(nodes["id"], nodes["kind"], nodes["kept"], strict=True):
        row = graph.index[id]
        want = abs(struck[row]).sum() / abs(whole[row]).sum() if kind in (0, 3) else 1
        assert kept == pytest.approx(want, abs=1e-4)
    for source, target, share in zip(edges["source"], edges["target"], edges["share"], strict=True):
        row, column = graph.index[nodes["id"][target]], graph.index[nodes["id"][source]]
        assert share == pytest.approx(whole[row, column] / abs(whole[row]).sum(), abs=2e-5)

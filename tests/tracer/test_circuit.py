"""Supernode arithmetic against the formulas written out over dense matrices, and what must hold of it."""

import numpy as np
import pytest

from tests.helpers import PROMPT, replacement, tiny_gemma3
from tracer.graph.circuit import circuit_scores, condense
from tracer.graph.graph import Graph


@pytest.fixture(scope="module")
def graph() -> Graph:
    return replacement(tiny_gemma3()).trace(PROMPT, max_nodes=80)


def written_out(graph: Graph, supernodes: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dense, layout = graph.adjacency.toarray().astype(np.float64), graph.layout
    weight = graph.influence.astype(np.float64).copy()
    weight[layout.first_logit : layout.first_bias] = graph.weights
    share = dense / np.maximum(abs(dense).sum(1), 1e-10)[:, None]
    passed = abs(dense) / np.maximum(abs(dense[:, : layout.first_bias]).sum(1), 1e-10)[:, None]
    n = len(supernodes)
    effect, flow, influence = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    for i, targets in enumerate(supernodes):
        influence[i] = sum(weight[t] for t in targets)
        influence[i] -= sum(weight[t] * passed[t, s] for t in targets for s in targets)
        for j, sources in enumerate(supernodes):
            if i != j:
                effect[i, j] = sum(dense[t, s] for t in targets for s in sources)
                passing = sum(weight[t] * share[t, s] for t in targets for s in sources)
                flow[i, j] = passing / sum(weight[t] for t in targets)
    return effect, flow, influence


def by_influence(graph: Graph, n: int) -> list[int]:
    return [int(i) for i in graph.influence[: graph.layout.n_features].argsort()[::-1][:n]]


def test_merged_edges_are_sums_over_members(graph: Graph) -> None:
    top, logit = by_influence(graph, 6), graph.layout.first_logit
    supernodes = [top[:3], top[3:5], [top[5]], [graph.layout.first_embedding + 2], [logit]]
    circuit = condense(graph, supernodes)
    effect, flow, influence = written_out(graph, supernodes)
    assert circuit.effect == pytest.approx(effect, abs=1e-6)
    assert circuit.flow == pytest.approx(flow, abs=1e-6)
    assert circuit.influence == pytest.approx(influence, abs=1e-6)
    assert abs(circuit.flow).max() > 1e-3


def test_nodes_on_their_own_keep_their_edges(graph: Graph) -> None:
    nodes = [*by_influence(graph, 5), graph.layout.first_logit]
    circuit = condense(graph, [[node] for node in nodes])
    assert circuit.effect == pytest.approx(graph.adjacency[nodes][:, nodes].toarray(), abs=1e-6)
    assert circuit.cycles == []  # a graph has none


def test_a_chain_inside_a_group_is_counted_once(graph: Graph) -> None:
    """Two members of which one feeds the other: their influences overlap by what passes between them."""
    a, b = _connected(graph)
    together = condense(graph, [[a, b]]).influence[0]
    assert together < graph.influence[a] + graph.influence[b]
    share = abs(graph.adjacency[a, b]) / abs(graph.adjacency[[a]][:, : graph.layout.first_bias]).sum()
    assert together == pytest.approx(graph.influence[a] + graph.influence[b] - graph.influence[a] * share, rel=1e-5)


def test_groups_that_feed_one_another_are_told(graph: Graph) -> None:
    a, b = _connected(graph)
    middle = next(
        m
        for m in range(graph.layout.n_features)
        if m not in (a, b) and graph.adjacency[a, m] != 0 and graph.adjacency[m, b] != 0
    )
    assert condense(graph, [[a, b], [middle]]).cycles == [[0, 1]]
    assert condense(graph, [[a], [b], [middle]]).cycles == []


def test_a_node_in_two_groups_is_refused(graph: Graph) -> None:
    with pytest.raises(ValueError, match="two supernodes"):
        condense(graph, [[1, 2], [2]])


def test_no_circuit_at_all(graph: Graph) -> None:
    assert condense(graph, []).effect.shape == (0, 0)


def test_scores_with_everything_pinned_are_the_graphs_and_with_nothing_the_least(graph: Graph) -> None:
    own = graph.scores()
    everything = circuit_scores(graph, range(graph.layout.n_features))
    assert everything == pytest.approx((own.replacement, own.completeness), abs=1e-6)
    some = circuit_scores(graph, by_influence(graph, 20))
    nothing = circuit_scores(graph, [])
    assert nothing[0] <= some[0] <= everything[0] and nothing[1] < some[1] < everything[1]


def test_scores_of_nothing_pinned_by_hand(graph: Graph) -> None:
    """Each logit's input is then tokens or error."""
    layout = graph.layout
    rows = abs(graph.adjacency[layout.first_logit : layout.first_bias].toarray()[:, : layout.first_bias])
    rows /= rows.sum(1, keepdims=True)
    tokens = graph.weights @ rows[:, layout.first_embedding : layout.first_logit].sum(1)
    rest = graph.weights @ rows[:, : layout.first_embedding].sum(1)
    assert circuit_scores(graph, [])[0] == pytest.approx(tokens / (tokens + rest), abs=1e-6)


def _connected(graph: Graph) -> tuple[int, int]:
    """A feature, and one that feeds it through a third as well."""
    adjacency = graph.adjacency[: graph.layout.n_features, : graph.layout.n_features]
    twice = (adjacency @ adjacency).toarray()
    both = np.argwhere((adjacency.toarray() != 0) & (twice != 0))
    return int(both[0][0]), int(both[0][1])

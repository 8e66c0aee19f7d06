"""Influence, pruning and scores against circuit-tracer's figures; saving and loading."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy import sparse

from tests.helpers import PROMPT, replacement, tiny_llama
from tracer import Graph, TracerError
from tracer.graph.file import Target
from tracer.graph.influence import edge_scores
from tracer.graph.layout import Layout
from tracer.graph.prune import holding

PARITY = Path(__file__).parent.parent / "fixtures" / "parity"
WHOLE = [path for path in PARITY.iterdir() if path.name != "llama_plt_relu_truncated"]  # its scores differ on purpose
CASES = sorted(path.name for path in WHOLE)


def parity_graph(case):
    """circuit-tracer's matrix as a graph of ours, with empty bias columns."""
    want = load_file(PARITY / case / "expected.safetensors")
    layer, position, feature = want["active_features"][want["selected_features"]].T
    n_tokens, probabilities = len(want["input_tokens"]), want["logit_probabilities"]
    n = len(want["adjacency_matrix"])
    n_layers = (n - len(layer) - n_tokens - len(probabilities)) // n_tokens
    layout = Layout(layer, position, feature, n_layers, n_tokens, len(probabilities))
    matrix = np.zeros((layout.n_nodes, layout.n_nodes), dtype=np.float32)
    matrix[:n, :n] = want["adjacency_matrix"]
    targets = [Target(str(i), int(i), float(p), float(p), 0.0) for i, p in enumerate(probabilities)]
    meta = {"tokens": [str(i) for i in want["input_tokens"]]}
    activation = want["activation_values"][want["selected_features"]]
    graph = Graph(layout, activation, targets, sparse.csr_array(matrix), want["input_tokens"].tolist(), meta)
    return graph, want, n


def test_there_are_parity_cases():
    assert len(CASES) == 8


@pytest.mark.parametrize("case", CASES)
def test_influence_scores_and_pruning_match_circuit_tracer(case):
    graph, want, n = parity_graph(case)
    np.testing.assert_allclose(graph.influence[:n], want["node_influence"], atol=1e-5)
    scores = graph.scores()
    assert scores.replacement == pytest.approx(want["replacement_score"].item(), abs=1e-5)
    assert scores.completeness == pytest.approx(want["completeness_score"].item(), abs=1e-5)
    pruned = graph.prune(0.8, 0.98)
    np.testing.assert_array_equal(pruned.node_mask[:n], want["node_mask"])
    np.testing.assert_array_equal(pruned.edge_mask[:n, :n], want["edge_mask"])
    np.testing.assert_allclose(pruned.cumulative_scores[:n], want["cumulative_scores"], atol=1e-5)
    dense = np.where(pruned.edge_mask, graph.adjacency.toarray(), 0)
    np.testing.assert_array_equal(pruned.kept.toarray(), dense)


def test_bias_columns_take_no_part():
    graph, _, n = parity_graph(CASES[0])
    before = graph.prune(0.8, 0.98)
    matrix = graph.adjacency.tolil()
    matrix[0 : graph.layout.n_features, n] = 7.0
    other = Graph(graph.layout, graph.activation, graph.targets, sparse.csr_array(matrix), graph.token_ids, graph.meta)
    after = other.prune(0.8, 0.98)
    np.testing.assert_allclose(other.influence[:n], graph.influence[:n])
    np.testing.assert_array_equal(before.node_mask, after.node_mask)
    assert before.kept.nnz == after.kept.nnz


@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.8, 0.98, 1.0])
@pytest.mark.parametrize("n", [7, 300_000])
def test_what_holds_a_share_is_what_a_full_sort_gives(threshold, n):
    values = np.random.default_rng(3).lognormal(0, 3, n)
    ordered = np.sort(values)[::-1]
    reached = np.searchsorted(ordered.cumsum() / ordered.sum(), threshold)
    np.testing.assert_array_equal(holding(values, threshold), values >= ordered[min(reached, n - 1)])


def test_what_holds_a_share_of_nothing_and_of_ties():
    assert not holding(np.zeros(5), 0.8).any() and not holding(np.zeros(5), 1).any()
    assert holding(np.ones(150_000), 0.5).all()
    assert holding(np.random.default_rng(0).random(100_000), 1).all(), "however the sum is rounded"


def test_a_row_carries_its_targets_influence_and_none_of_it_from_bias():
    """Against the definition: M, and w M + w M² + … by matrix powers, with some nodes struck out."""
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=50)
    layout, n = graph.layout, graph.layout.first_bias
    among = np.arange(layout.n_nodes) < n
    among[[3, 17, layout.first_error + 5]] = False
    dense = abs(graph.adjacency.toarray().astype(np.float64)) * np.outer(among, among)
    share = dense / np.maximum(dense.sum(axis=1, keepdims=True), 1e-10)
    held = np.zeros(layout.n_nodes)
    held[layout.first_logit : n] = graph.weights
    step = held
    for _ in range(layout.n_layers + 1):
        step = step @ share
        held = held + step
    rest = graph.adjacency.copy()
    rest.data[~among[np.repeat(np.arange(layout.n_nodes), np.diff(rest.indptr))]] = 0  # rows of the others are empty
    found = sparse.csr_array(
        (edge_scores(rest, layout, graph.weights, among), rest.indices, rest.indptr), shape=rest.shape
    ).toarray()
    np.testing.assert_allclose(found, share * held[:, None], atol=1e-12)
    assert found.sum() > 0.5


@pytest.mark.parametrize(("node", "edge"), [(0.3, 0.5), (0.8, 1.0), (1.0, 0.6), (1.0, 0.999), (1.0, 1.0)])
def test_pruning_at_any_thresholds_is_the_definition(node, edge):
    """Dense, with full sorts, as circuit-tracer writes it down."""
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=80)
    layout, n = graph.layout, graph.layout.first_bias
    matrix = abs(graph.adjacency.toarray().astype(np.float64))[:n, :n]
    stored = np.zeros((n, n), dtype=bool)
    targets = np.repeat(np.arange(layout.n_nodes), np.diff(graph.adjacency.indptr))
    inner = (targets < n) & (graph.adjacency.indices < n)
    stored[targets[inner], graph.adjacency.indices[inner]] = True

    def cut(values, threshold):
        ordered = np.sort(values.ravel())[::-1]
        share = ordered.cumsum() / ordered.sum()
        return ordered[-1] if threshold == 1 else ordered[np.searchsorted(share, threshold)]

    def weighed(matrix):
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-10)
        held = step = np.concatenate([np.zeros(layout.first_logit), graph.weights])
        for _ in range(layout.n_layers + 1):
            step = step @ share
            held = held + step
        return share, held

    whole = weighed(matrix)[1]
    whole[layout.first_logit :] = 0
    nodes = whole >= cut(whole, node)
    nodes[layout.first_embedding :] = True
    rest = matrix * np.outer(nodes, nodes)
    share, held = weighed(rest)
    scores = share * held[:, None]
    edges = stored & np.outer(nodes, nodes) & (scores >= cut(scores, edge))
    while True:
        stay = nodes.copy()
        stay[: layout.first_embedding] &= edges.any(axis=0)[: layout.first_embedding]
        stay[: layout.first_error] &= edges.any(axis=1)[: layout.first_error]
        edges &= np.outer(stay, stay)
        if (stay == nodes).all():
            break
        nodes = stay
    pruned = graph.prune(node, edge)
    np.testing.assert_array_equal(pruned.node_mask[:n], nodes)
    np.testing.assert_array_equal(pruned.edge_mask[:n, :n], edges)
    assert not pruned.edge_mask[:, n:].any() and edges.any()
    np.testing.assert_array_equal(pruned.kept.toarray(), np.where(pruned.edge_mask, graph.adjacency.toarray(), 0))


def test_save_and_load(tmp_path):
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=50)
    graph.save(tmp_path / "g.safetensors")
    again = Graph.load(tmp_path / "g.safetensors")
    assert abs(graph.adjacency - again.adjacency).max() == 0
    assert again.nodes.equals(graph.nodes)
    assert (again.targets, again.meta, again.token_ids) == (graph.targets, graph.meta, graph.token_ids)
    assert again.row_error == graph.row_error


def test_a_graph_from_another_program_has_unknown_row_values(tmp_path):
    """Without bias nodes nobody knows what its rows should sum to: nan, never 0."""
    known = replacement(tiny_llama()).trace(PROMPT, max_nodes=20)
    assert known.complete and known.row_error < 1e-4
    targets = [replace(t, value=None) for t in known.targets]
    graph = Graph(
        known.layout, known.activation, targets, known.adjacency, known.token_ids, known.meta | {"n_active": None}
    )
    assert not graph.complete and np.isnan(graph.row_error)
    assert (np.isnan(graph.row_errors) == graph.layout.has_row).all()
    assert np.isnan(graph.value).all() and graph.nodes["value"].isna().all()
    graph.save(tmp_path / "g.safetensors")
    again = Graph.load(tmp_path / "g.safetensors")
    assert (again.targets, again.meta) == (graph.targets, graph.meta) and np.isnan(again.row_error)
    assert again.scores() == known.scores()
    np.testing.assert_array_equal(again.prune().node_mask, known.prune().node_mask)


def test_spoiled_files_are_refused(tmp_path):
    data = replacement(tiny_llama()).trace(PROMPT, max_nodes=50).to_bytes()
    for spoiled in (b"", b"nonsense", data[:1000], data[:-10], data.replace(b'"F32"', b'"I32"'), b"\xff" * 64):
        with pytest.raises(TracerError, match="graph"):
            Graph.from_bytes(spoiled)
    nested = b"[" * 200_000
    with pytest.raises(TracerError, match="graph"):
        Graph.from_bytes(len(nested).to_bytes(8, "little") + nested)
    with pytest.raises(TracerError, match="can't read"):
        Graph.load(tmp_path / "nowhere.safetensors")


def test_thresholds_out_of_range():
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=20)
    for node, edge in ((0, 0.9), (0.8, 1.1), (-1, 0.5), (float("nan"), 0.5)):
        with pytest.raises(TracerError, match="threshold"):
            graph.prune(node, edge)


def test_lower_thresholds_keep_less_and_isolated_nodes_go():
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=80)
    loose, tight = graph.prune(0.95, 0.98), graph.prune(0.5, 0.6)
    assert tight.node_mask.sum() < loose.node_mask.sum()
    rows, columns = tight.edges()
    for node in np.flatnonzero(tight.node_mask[: graph.layout.n_features]):
        assert node in rows and node in columns
    assert tight.node_mask[rows].all() and tight.node_mask[columns].all()


def test_nodes_table():
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=20)
    nodes = graph.nodes
    assert list(nodes.columns[:8]) == ["id", "kind", "layer", "position", "feature", "activation", "value", "influence"]
    assert nodes.id.is_unique
    counts = nodes.kind.value_counts()
    layout = graph.layout
    assert counts["feature"] == 20 and counts["embedding"] == 9 and counts["error"] == 27 and counts["bias"] == 5
    assert counts["logit"] == layout.n_targets


def test_dense_tensors_have_circuit_tracers_names():
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=20)
    tensors = graph.tensors()
    assert tensors["adjacency_matrix"].shape == (graph.layout.n_nodes,) * 2
    assert tensors["active_features"].shape == (20, 3)

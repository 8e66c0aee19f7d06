"""From a graph and two thresholds to what the canvas draws. The strongest edges only: the card reads all of them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import streamlit as st
from scipy import sparse

from tracer import Graph
from tracer.graph.influence import gather
from tracer.graph.layout import Layout
from tracer.graph.prune import Pruned
from tracer.graph.scores import own_scores
from tracer.presets import licence_of
from ui.node_words import FIGURE_HELP, LOGIT, explanation, figures, short_name, target_name

MAX_EDGES = 10_000
"""Drawn at most: as many as the canvas moves at 60 frames a second."""

EDGES_A_NODE = 5
"""Of each node, so many inputs and outputs are drawn before any others."""

SOME = 16
"""Of so many rows one is looked at first, for a bound."""


@dataclass
class GraphView:
    """A pruned graph, ready to draw."""

    pruned: Pruned
    canvas: dict[str, Any]
    n_nodes: int
    n_edges: int
    n_drawn: int
    scores: tuple[float, float]  # replacement and completeness of what is kept alone
    whole_scores: tuple[float, float]  # and of the whole graph


@dataclass
class Unpruned:
    """What no threshold changes: columns of the canvas for all nodes, and what goes with them."""

    columns: dict[str, list[Any]]
    shared: dict[str, Any]
    scores: tuple[float, float]


@st.cache_resource(max_entries=8, show_spinner=False)
def unpruned(key: str, _graph: Graph) -> Unpruned:
    layout = _graph.layout
    nodes = range(layout.first_bias)  # pruning keeps no bias node
    value = _graph.value.copy()
    value[: layout.n_features] = _graph.activation  # known of an imported graph too
    texts: dict[str, int] = {}  # by its number: a few sentences serve all nodes
    names = list(FIGURE_HELP)
    positions, feature_positions = feature_positions_of(layout)
    columns = {
        "id": _graph.ids,
        "kind": layout.kind.tolist(),
        "layer": layout.node_layer.tolist(),
        "position": layout.node_position.tolist(),
        "label": [_label(_graph, i) for i in nodes],
        "value": [0.0 if np.isnan(v) else round(float(v), 4) for v in value],
        "influence": np.round(_graph.influence, 6).tolist(),
        "probability": [*[None] * layout.first_logit, *(target.probability for target in _graph.targets)],
        "positions": positions.tolist(),
        "name": [short_name(_graph, i) for i in nodes],
        "text": [texts.setdefault(explanation(_graph, i), len(texts)) for i in nodes],
        "figures": [[(names.index(name), value) for name, value in figures(_graph, i)] for i in nodes],
    }
    shared = {
        "tokens": _graph.tokens,
        "n_layers": layout.n_layers,
        "texts": list(texts),
        "figure_names": names,
        "feature_positions": feature_positions,
        "file_name": f"hypograph-{key[:8]}",
        "credit": f"Model {_graph.meta['model']}: {licence_of(_graph.meta) or 'terms unknown'}.",
    }
    return Unpruned(columns, shared, own_scores(_graph.adjacency, layout, _graph.weights))


@st.cache_resource(max_entries=32, show_spinner=False)
def graph_view(key: str, _graph: Graph, node_threshold: float, edge_threshold: float) -> GraphView:
    whole = unpruned(key, _graph)
    pruned = _graph.prune(node_threshold, edge_threshold)
    layout = _graph.layout
    kept = np.flatnonzero(pruned.node_mask)
    place = np.full(layout.n_nodes, -1)
    place[kept] = np.arange(len(kept))
    strength = abs(pruned.kept.data) / np.repeat(_graph.mass, np.diff(pruned.kept.indptr))
    reach = _graph.influence.copy()
    reach[layout.first_logit :] += 1
    strongest = drawn(pruned.kept, strength, reach)
    targets, sources = rows_of(pruned.kept, strongest), pruned.kept.indices[strongest]
    shares = np.copysign(strength[strongest], pruned.kept.data[strongest])
    input_kept = sparse.csr_array((strength, pruned.kept.indices, pruned.kept.indptr), shape=pruned.kept.shape)
    left = np.where(layout.has_row, input_kept.sum(axis=1), 1)
    nodes = {name: [column[i] for i in kept.tolist()] for name, column in whole.columns.items()}
    edges = {
        "source": place[sources].tolist(),
        "target": place[targets].tolist(),
        "share": np.round(shares.astype(float), 5).tolist(),
    }
    canvas = whole.shared | {
        "rev": f"{key}/{node_threshold}/{edge_threshold}",
        "nodes": nodes | {"kept": np.round(left[kept], 4).tolist()},
        "edges": edges,
    }
    scores = own_scores(pruned.kept, layout, _graph.weights)
    return GraphView(pruned, canvas, len(kept), len(strength), len(strongest), scores, whole.scores)


def feature_positions_of(layout: Layout) -> tuple[np.ndarray, int]:
    """(n_nodes,): at how many positions the same feature of the same layer is a node of the graph, before pruning; 0
    for what is no feature. And the number of positions that have features at all.

    Features that are active but were not chosen as nodes are not counted: the graph does not know them.
    """
    found = np.zeros(layout.n_nodes, dtype=np.int64)
    if layout.n_features:
        same = np.stack([layout.layer, layout.feature])
        _, which, times = np.unique(same, axis=1, return_inverse=True, return_counts=True)
        found[: layout.n_features] = times[which.reshape(-1)]
    return found, len(np.unique(layout.position))


def rows_of(matrix: sparse.csr_array, at: np.ndarray) -> np.ndarray:
    """The rows of some stored edges."""
    return np.searchsorted(matrix.indptr, at, side="right") - 1


def drawn(kept: sparse.csr_array, strength: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Which of the stored edges to draw, MAX_EDGES at most: each node's strongest inputs and outputs before all others,
    by strength (nnz,) times what their target reaches (n,). Both are at least 0.
    """
    near = np.union1d(_strongest_inputs(kept, strength), _strongest_outputs(kept, strength))
    score = strength[near] * reach[rows_of(kept, near)]
    if len(near) >= MAX_EDGES:
        return near[_largest(score, MAX_EDGES)]
    others = np.setdiff1d(np.arange(len(strength)), near, assume_unique=True)
    other_score = strength[others] * reach[rows_of(kept, others)]
    first, then = _largest(score, len(near)), _largest(other_score, min(MAX_EDGES - len(near), len(others)))
    return np.concatenate([near[first], others[then]])


def _largest(score: np.ndarray, n: int) -> np.ndarray:
    """Where the n largest are, largest first."""
    chosen = np.argpartition(-score, n - 1)[:n] if n else np.empty(0, dtype=np.int64)
    return chosen[np.argsort(-score[chosen], kind="stable")]


def _strongest_inputs(kept: sparse.csr_array, strength: np.ndarray) -> np.ndarray:
    """The EDGES_A_NODE strongest edges of each row, and their equals."""
    least = _least_of_strongest(kept.indptr, strength)
    return np.flatnonzero(strength >= np.repeat(least, np.diff(kept.indptr)))


def _strongest_outputs(kept: sparse.csr_array, strength: np.ndarray) -> np.ndarray:
    """The same of each column. All edges in the order of their columns would take a third of a second for ten million:
    a part of the rows says below what strength an edge can't be among them.
    """
    rows = sparse.csr_array((strength, kept.indices, kept.indptr), shape=kept.shape)
    some = rows[::SOME].tocsc()
    may_be = np.flatnonzero(strength >= gather(_least_of_strongest(some.indptr, some.data), kept.indices))
    starts = np.searchsorted(may_be, kept.indptr)
    columns = sparse.csr_array((may_be, kept.indices[may_be], starts), shape=kept.shape).tocsc()
    least = _least_of_strongest(columns.indptr, strength[columns.data])
    return columns.data[strength[columns.data] >= np.repeat(least, np.diff(columns.indptr))]


def _least_of_strongest(starts: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The EDGES_A_NODE-th largest of each stretch from one of `starts` to the next; 0 where there are less."""
    least = np.zeros(len(starts) - 1, dtype=strength.dtype)
    for i, (start, end) in enumerate(pairwise(starts.tolist())):
        if end - start >= EDGES_A_NODE:
            least[i] = np.partition(strength[start:end], -EDGES_A_NODE)[-EDGES_A_NODE]
    return least


def _label(graph: Graph, node: int) -> str:
    layout = graph.layout
    if layout.kind[node] == LOGIT:
        return target_name(graph.targets[node - layout.first_logit])
    if layout.first_embedding <= node < layout.first_logit:
        return graph.tokens[node - layout.first_embedding]
    return short_name(graph, node)

"""From a graph and two thresholds to what the canvas draws. The strongest edges only: the card reads all of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from scipy import sparse

from tracer import Graph
from tracer.graph.layout import Layout
from tracer.graph.prune import Pruned
from tracer.graph.scores import own_scores
from tracer.presets import licence_of
from ui.node_words import FIGURE_HELP, LOGIT, explanation, figures, short_name, target_name

MAX_EDGES = 10_000
"""Drawn at most: as many as the canvas moves at 60 frames a second."""

EDGES_A_NODE = 5
"""Of each node, so many inputs and outputs are drawn before any others."""


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
    targets, sources = pruned.edges()
    shares = pruned.kept.data / _graph.mass[targets]
    strength = abs(shares)
    reach = _graph.influence.copy()
    reach[layout.first_logit :] += 1
    strongest = drawn(pruned.kept, strength, strength * reach[targets])
    left = np.where(layout.has_row, np.bincount(targets, strength, minlength=layout.n_nodes), 1)
    nodes = {name: [column[i] for i in kept.tolist()] for name, column in whole.columns.items()}
    edges = {
        "source": place[sources[strongest]].tolist(),
        "target": place[targets[strongest]].tolist(),
        "share": np.round(shares[strongest].astype(float), 5).tolist(),
    }
    canvas = whole.shared | {
        "rev": f"{key}/{node_threshold}/{edge_threshold}",
        "nodes": nodes | {"kept": np.round(left[kept], 4).tolist()},
        "edges": edges,
    }
    scores = own_scores(pruned.kept, layout, _graph.weights)
    return GraphView(pruned, canvas, len(kept), len(shares), len(strongest), scores, whole.scores)


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


def drawn(kept: sparse.csr_array, strength: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Which of the stored edges to draw, MAX_EDGES at most: each node's strongest inputs and outputs before all others,
    by score. `strength` and `score` (nnz,) are at least 0.
    """
    by_source = sparse.csr_array((np.arange(len(strength)), kept.indices, kept.indptr), shape=kept.shape).tocsc()
    near = _strongest_each(kept.indptr, strength)
    near[by_source.data[_strongest_each(by_source.indptr, strength[by_source.data])]] = True
    order = np.where(near, score + 1 + score.max(initial=0), score)
    most = min(MAX_EDGES, len(order))
    chosen = np.argpartition(-order, most - 1)[:most] if most else np.empty(0, dtype=np.int64)
    return chosen[np.argsort(-order[chosen], kind="stable")]


def _strongest_each(starts: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """(nnz,) bool: the EDGES_A_NODE strongest of each stretch that begins at one of `starts` and ends at the next."""
    chosen = np.ones(len(strength), dtype=bool)
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if end - start > EDGES_A_NODE:
            chosen[start + np.argpartition(strength[start:end], -EDGES_A_NODE)[:-EDGES_A_NODE]] = False
    return chosen


def _label(graph: Graph, node: int) -> str:
    layout = graph.layout
    if layout.kind[node] == LOGIT:
        return target_name(graph.targets[node - layout.first_logit])
    if layout.first_embedding <= node < layout.first_logit:
        return graph.tokens[node - layout.first_embedding]
    return short_name(graph, node)

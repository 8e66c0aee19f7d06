"""From a graph and two thresholds to what the canvas draws. The strongest edges only: the card reads all of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from tracer import Graph
from tracer.graph.layout import Layout
from tracer.graph.prune import Pruned
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


@st.cache_resource(max_entries=32, show_spinner=False)
def graph_view(key: str, _graph: Graph, node_threshold: float, edge_threshold: float) -> GraphView:
    pruned = _graph.prune(node_threshold, edge_threshold)
    layout = _graph.layout
    kept = np.flatnonzero(pruned.node_mask)
    place = np.full(layout.n_nodes, -1)
    place[kept] = np.arange(len(kept))
    targets, sources = pruned.edges()
    shares = _graph.adjacency.data[pruned.kept_edges] / _graph.mass[targets]
    reach = _graph.influence[targets]
    reach[targets >= layout.first_logit] += 1
    strongest = _drawn(sources, targets, np.abs(shares), np.abs(shares) * reach)
    kinds = layout.kind[kept]
    probability = [
        _graph.targets[node - layout.first_logit].probability if kind == LOGIT else None
        for node, kind in zip(kept, kinds, strict=True)
    ]
    value = _graph.value.copy()
    value[: layout.n_features] = _graph.activation  # known of an imported graph too
    texts: dict[str, int] = {}  # by its number: a few sentences serve all nodes
    names = list(FIGURE_HELP)
    positions, feature_positions = feature_positions_of(layout)
    nodes = {
        "id": [_graph.ids[i] for i in kept],
        "kind": kinds.tolist(),
        "layer": layout.node_layer[kept].tolist(),
        "position": layout.node_position[kept].tolist(),
        "label": [_label(_graph, int(i)) for i in kept],
        "value": [0.0 if np.isnan(v) else round(float(v), 4) for v in value[kept]],
        "influence": np.round(_graph.influence[kept], 6).tolist(),
        "probability": probability,
        "positions": positions[kept].tolist(),
        "name": [short_name(_graph, int(i)) for i in kept],
        "text": [texts.setdefault(explanation(_graph, int(i)), len(texts)) for i in kept],
        "figures": [[(names.index(name), value) for name, value in figures(_graph, int(i))] for i in kept],
    }
    edges = {
        "source": place[sources[strongest]].tolist(),
        "target": place[targets[strongest]].tolist(),
        "share": np.round(shares[strongest].astype(float), 5).tolist(),
    }
    canvas = {
        "rev": f"{key}/{node_threshold}/{edge_threshold}",
        "tokens": _graph.tokens,
        "n_layers": layout.n_layers,
        "texts": list(texts),
        "figure_names": names,
        "feature_positions": feature_positions,
        "file_name": f"hypograph-{key[:8]}",
        "credit": f"Model {_graph.meta['model']}: {licence_of(_graph.meta) or 'terms unknown'}.",
        "nodes": nodes,
        "edges": edges,
    }
    return GraphView(pruned, canvas, len(kept), int(pruned.kept_edges.sum()), len(strongest))


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


def _drawn(sources: np.ndarray, targets: np.ndarray, share: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Edges to draw: each node's strongest inputs and outputs first, then the strongest of all."""
    near = (_rank(targets, share) < EDGES_A_NODE) | (_rank(sources, share) < EDGES_A_NODE)
    return np.lexsort((-score, ~near))[:MAX_EDGES]


def _rank(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The place of each value among those of its group, from the largest: 0, 1, …"""
    order = np.lexsort((-value, group))
    starts = np.searchsorted(group[order], group[order])
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - starts
    return rank


def _label(graph: Graph, node: int) -> str:
    layout = graph.layout
    if layout.kind[node] == LOGIT:
        return target_name(graph.targets[node - layout.first_logit])
    if layout.first_embedding <= node < layout.first_logit:
        return graph.tokens[node - layout.first_embedding]
    return short_name(graph, node)

"""A graph from another program's parts: what the importers share. Their files are anybody's, so all is checked here.

Such a graph has no bias nodes, so what its rows should sum to is unknown: its targets have no value (`Graph.complete`).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from tracer.errors import TracerError
from tracer.graph.file import Target
from tracer.graph.graph import Graph
from tracer.graph.layout import Layout
from tracer.interchange.limits import Limits

MAX_LAYERS = 1000


@dataclass(frozen=True)
class Report:
    """What an import found beside the graph. Nodes by the ids of `Graph.ids`."""

    feature_numbers: str | None = None  # the dialect; None where the format has but one
    error_ids: str | None = None
    ignored: dict[str, int] = field(default_factory=dict)  # what was left out, and how often
    pins: list[str] = field(default_factory=list)
    supernodes: list[tuple[str, list[str]]] = field(default_factory=list)  # label, members
    labels: dict[str, str] = field(default_factory=dict)
    cumulative_scores: np.ndarray | None = None  # (n,), of the graph before it was pruned; nan where the file has none


@dataclass(frozen=True)
class Edges:
    """`A[targets, sources] = weights`, each (E,); nodes are counted in the order of `Layout`, features as given."""

    targets: np.ndarray
    sources: np.ndarray
    weights: np.ndarray


def check_size(n_features: int, n_layers: int, n_tokens: int, n_targets: int, limits: Limits) -> None:
    """Raises TracerError where there is nothing to explain, or too much."""
    if not n_tokens or not n_targets or not n_layers:
        raise TracerError("the graph has no tokens, no layers or no logits to explain")
    if n_layers > MAX_LAYERS or n_features + (n_layers + 1) * n_tokens + n_targets > limits.nodes:
        raise TracerError(
            f"the graph is too large: {n_layers:,} layers, {n_tokens:,} tokens, {n_features:,} features"
            f" (at most {MAX_LAYERS:,} layers and {limits.nodes:,} nodes)"
        )


def check_edges(n: int, limits: Limits) -> None:
    """Raises TracerError for more than `limits` allows."""
    if n > limits.edges:
        raise TracerError(f"the graph is too large: {n:,} edges (at most {limits.edges:,})")


def foreign_graph(
    features: np.ndarray,
    activation: np.ndarray,
    n_layers: int,
    targets: list[Target],
    token_ids: list[int],
    edges: Edges,
    *,
    prompt: str,
    tokens: list[str],
    model: str,
    basis: str,
    n_active: int | None,
    imported: dict[str, Any],
) -> tuple[Graph, np.ndarray]:
    """The graph, and where each node went, (n,), for bias nodes too.

    `features` (N, 3) int64: layer, position, index, in any order; `activation` (N,), nan where unknown; `imported`
    (JSON) says from what. Raises TracerError for features out of range or given twice, numbers that are not finite,
    edges given twice, and edges that don't lead from a lower layer to a feature or logit above it: so no cycle passes.
    """
    n, n_tokens = len(features), len(token_ids)
    if n and (features.min() < 0 or (features.max(axis=0) >= (n_layers, n_tokens, 2**31)).any()):
        raise TracerError("a feature lies outside the graph's layers and tokens")
    order = np.lexsort(features.T[::-1])
    layer, position, index = features[order].T
    layout = Layout(layer, position, index, n_layers, n_tokens, len(targets))
    if (np.diff(features[order], axis=0) == 0).all(axis=1).any():
        raise TracerError("a feature is there twice")
    place = np.arange(layout.n_nodes)
    place[order] = np.arange(n)
    rows, columns = place[edges.targets], place[edges.sources]
    with np.errstate(over="ignore"):
        weights, activation = edges.weights.astype(np.float32), activation[order].astype(np.float32)
    if not np.isfinite(weights).all() or np.isinf(activation).any():
        raise TracerError("an edge or activation is not a finite number")
    if max([*token_ids, *(t.id or 0 for t in targets)]) >= 2**31:
        raise TracerError("a token id is larger than any vocabulary")
    if not all(np.isfinite(t.weight) and t.weight >= 0 for t in targets):
        raise TracerError("a logit's probability is negative or no number")
    adjacency = sparse.csr_array((weights, (rows, columns)), shape=(layout.n_nodes, layout.n_nodes))
    meta = {
        "prompt": prompt,
        "tokens": tokens,
        "model": model,
        "features": basis,
        "model_fingerprint": "",  # no loaded model's
        "excluded": [],
        "explains": [t.token for t in targets],
        "n_active": n_active,
        "imported": imported,
    }
    graph = Graph(layout, activation, targets, adjacency, token_ids, meta)
    wrong = ~layout.has_row[rows] | (layout.node_layer[columns] >= layout.node_layer[rows])
    if wrong.any():
        ids = graph.ids
        source, target = ids[columns[wrong.argmax()]], ids[rows[wrong.argmax()]]
        raise TracerError(
            f"{int(wrong.sum()):,} edges don't lead from a lower layer to a feature or logit above it,"
            f" as from {source} to {target}: this is no attribution graph"
        )
    if adjacency.nnz != len(weights):
        raise TracerError("two edges have the same ends")
    return graph, place

"""Keep the nodes and edges that carry most of the influence: circuit-tracer's pruning (study/circuit-tracer.md §4).

Works on the sparse matrix: nothing of n² entries is formed or sorted.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tracer.errors import TracerError
from tracer.graph.influence import influence, normalised
from tracer.graph.layout import Layout


@dataclass
class Pruned:
    """`node_mask` (n,) over all nodes, bias nodes never kept; `kept_edges` (nnz,) over the stored edges."""

    node_mask: np.ndarray
    kept_edges: np.ndarray
    cumulative_scores: np.ndarray  # (n,): share of all influence that is held by nodes at least as important; bias nan
    adjacency: sparse.csr_array

    @property
    def edge_mask(self) -> np.ndarray:
        """(n, n) bool. Dense: for small graphs."""
        mask = np.zeros(self.adjacency.shape, dtype=bool)
        rows, columns = self.edges()
        mask[rows, columns] = True
        return mask

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Target and source nodes of the kept edges."""
        rows = np.repeat(np.arange(self.adjacency.shape[0]), np.diff(self.adjacency.indptr))
        return rows[self.kept_edges], self.adjacency.indices[self.kept_edges]


def prune(
    adjacency: sparse.csr_array, layout: Layout, weights: np.ndarray, node_threshold: float, edge_threshold: float
) -> Pruned:
    """Thresholds are shares (0, 1] of all node influence and of all edge scores. Raises TracerError outside that."""
    for name, value in (("node", node_threshold), ("edge", edge_threshold)):
        if not 0 < value <= 1:
            raise TracerError(f"the {name} threshold is {value:g}; give a share above 0 and at most 1")
    n, features, errors = layout.first_bias, layout.first_error, layout.first_embedding
    matrix = normalised(adjacency, layout)
    node_influence = influence(matrix, layout, weights)
    keep = node_influence >= smallest_kept(node_influence, node_threshold)
    keep[errors:] = True  # embeddings and logits stay

    rows = np.repeat(np.arange(layout.n_nodes), np.diff(adjacency.indptr))
    columns = adjacency.indices
    inner = columns < n  # bias nodes take no part
    alive = inner.copy()
    alive[inner] = keep[rows[inner]] & keep[columns[inner]]
    rest = sparse.csr_array(
        (np.where(alive, adjacency.data, 0), columns, adjacency.indptr), shape=adjacency.shape, copy=True
    )
    rest_matrix = normalised(rest, layout)
    rest_influence = influence(rest_matrix, layout, weights)
    rest_influence[layout.first_logit : n] += weights
    scores = np.zeros(len(columns))
    # `normalised` drops the bias columns and keeps the order of the rest
    scores[inner] = rest_matrix.data * rest_influence[rows[inner]]
    kept = alive & (scores >= smallest_kept(scores[alive], edge_threshold))

    while True:
        has_output = np.bincount(columns[kept], minlength=layout.n_nodes)[:n] > 0
        has_input = np.bincount(rows[kept], minlength=layout.n_nodes)[:n] > 0
        still = keep.copy()
        still[:errors] &= has_output[:errors]
        still[:features] &= has_input[:features]
        if (still == keep).all():
            break
        keep = still
        kept[kept] = keep[rows[kept]] & keep[columns[kept]]
    mask = np.zeros(layout.n_nodes, dtype=bool)
    mask[:n] = keep
    return Pruned(mask, kept, cumulative_scores(node_influence, layout.n_nodes), adjacency)


def smallest_kept(values: np.ndarray, threshold: float) -> float:
    """The value at which the largest values, added up, first reach `threshold` of the sum. Ties are kept with it.

    Only the values around the cut are sorted: a histogram of the rest finds where it lies.
    """
    total = values.sum()
    if total <= 0:
        return np.inf
    low, high, above = 0.0, float(values.max()), 0.0
    inside = values
    while len(inside) > 20_000:
        edges = np.linspace(low, high, 257)
        index = np.clip(np.searchsorted(edges, inside, side="right") - 1, 0, 255)
        held = np.bincount(index, weights=inside, minlength=256)[::-1].cumsum()[::-1]  # at this bin and above
        bin_ = int(np.flatnonzero(above + held >= threshold * total)[-1]) if above + held[0] >= threshold * total else 0
        chosen = inside[index == bin_]
        if len(chosen) == len(inside):
            break
        above += held[bin_ + 1] if bin_ < 255 else 0.0
        low, high, inside = edges[bin_], edges[bin_ + 1], chosen
    ordered = np.sort(inside)[::-1]
    reached = np.searchsorted(above + ordered.cumsum(), threshold * total)
    return float(ordered[min(reached, len(ordered) - 1)])


def cumulative_scores(node_influence: np.ndarray, n_nodes: int) -> np.ndarray:
    order = np.argsort(-node_influence, kind="stable")
    scores = np.full(n_nodes, np.nan)
    scores[order] = np.cumsum(node_influence[order]) / max(node_influence.sum(), 1e-30)
    return scores

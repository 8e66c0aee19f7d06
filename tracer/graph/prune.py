"""Keep the nodes and edges that carry most of the influence: circuit-tracer's pruning (study/circuit-tracer.md §4).

Works on the sparse matrix: nothing of n² entries is formed or sorted.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tracer.errors import TracerError
from tracer.graph.influence import by_row, influence
from tracer.graph.layout import Layout


@dataclass
class Pruned:
    """`node_mask` (n,) over all nodes, bias nodes never kept; `kept` (n, n) the matrix of the kept edges alone."""

    node_mask: np.ndarray
    cumulative_scores: np.ndarray  # (n,): share of all influence that is held by nodes at least as important; bias nan
    kept: sparse.csr_array

    @property
    def edge_mask(self) -> np.ndarray:
        """(n, n) bool. Dense: for small graphs."""
        mask = np.zeros(self.kept.shape, dtype=bool)
        rows, columns = self.edges()
        mask[rows, columns] = True
        return mask

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Target and source nodes of the kept edges."""
        return _rows(self.kept), self.kept.indices


def _among(adjacency: sparse.csr_array, at: np.ndarray) -> sparse.csr_array:
    """The matrix with the stored edges `at`, ascending, alone."""
    starts = np.searchsorted(at, adjacency.indptr)
    return sparse.csr_array((adjacency.data[at], adjacency.indices[at], starts), shape=adjacency.shape)


def _rows(matrix: sparse.csr_array) -> np.ndarray:
    """The row of each stored edge."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def prune(
    adjacency: sparse.csr_array,
    layout: Layout,
    weights: np.ndarray,
    node_influence: np.ndarray,
    node_threshold: float,
    edge_threshold: float,
) -> Pruned:
    """`node_influence` (nodes without bias,) is that of the whole graph, which no threshold changes.

    Thresholds are shares (0, 1] of all node influence and of all edge scores. Raises TracerError outside that.
    """
    for name, value in (("node", node_threshold), ("edge", edge_threshold)):
        if not 0 < value <= 1:
            raise TracerError(f"the {name} threshold is {value:g}; give a share above 0 and at most 1")
    n, features, errors = layout.first_bias, layout.first_error, layout.first_embedding
    keep = node_influence >= smallest_kept(node_influence, node_threshold)
    keep[errors:] = True  # embeddings and logits stay

    part = np.zeros(layout.n_nodes, dtype=bool)  # bias nodes take none
    part[:n] = keep
    alive = np.repeat(part, np.diff(adjacency.indptr))
    alive &= part[adjacency.indices]
    at = np.flatnonzero(alive)  # what follows costs what is left, not what there was
    rest = _among(adjacency, at)
    rows, columns = _rows(rest), rest.indices
    absolute = abs(rest.data).astype(np.float64)
    matrix = by_row(sparse.csr_array((absolute, columns, rest.indptr), shape=(layout.n_nodes, n)))
    rest_influence = influence(matrix, layout, weights)
    rest_influence[layout.first_logit : n] += weights
    scores = matrix.data * rest_influence[rows]
    kept = np.flatnonzero(scores >= smallest_kept(scores, edge_threshold))

    targets, sources = rows[kept], columns[kept]
    while True:
        still = keep.copy()
        still[:errors] &= np.bincount(sources, minlength=layout.n_nodes)[:errors] > 0
        still[:features] &= np.bincount(targets, minlength=layout.n_nodes)[:features] > 0
        if (still == keep).all():
            break
        keep = still
        both = keep[targets] & keep[sources]
        kept, targets, sources = kept[both], targets[both], sources[both]
    mask = np.zeros(layout.n_nodes, dtype=bool)
    mask[:n] = keep
    return Pruned(mask, cumulative_scores(node_influence, layout.n_nodes), _among(rest, kept))


def smallest_kept(values: np.ndarray, threshold: float) -> float:
    """The value at which the largest values, added up, first reach `threshold` of the sum. Ties are kept with it.

    Only the values around the cut are sorted. A double's upper 19 bits, as an integer, grow with it: they make bins of
    less than a hundredth of the value, and one pass over them finds where the cut lies.
    """
    total = values.sum()
    if total <= 0:
        return np.inf
    if threshold == 1:  # all of them, however their sum is rounded
        return float(values.min())
    bins = np.ascontiguousarray(values, dtype=np.float64).view(np.int64) >> 45
    held = np.bincount(bins, weights=values)[::-1].cumsum()[::-1]  # in this bin and above
    enough = np.flatnonzero(held >= threshold * total)
    bin_ = int(enough[-1]) if len(enough) else int(bins.min())  # none: rounding, at a threshold next to 1
    above = held[bin_ + 1] if bin_ + 1 < len(held) else 0.0
    ordered = np.sort(values[bins == bin_])[::-1]
    reached = np.searchsorted(above + ordered.cumsum(), threshold * total)
    return float(ordered[min(reached, len(ordered) - 1)])


def cumulative_scores(node_influence: np.ndarray, n_nodes: int) -> np.ndarray:
    order = np.argsort(-node_influence, kind="stable")
    scores = np.full(n_nodes, np.nan)
    scores[order] = np.cumsum(node_influence[order]) / max(node_influence.sum(), 1e-30)
    return scores

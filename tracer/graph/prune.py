"""Keep the nodes and edges that carry most of the influence: circuit-tracer's pruning (study/circuit-tracer.md §4).

Works on the sparse matrix: nothing of n² entries is formed or sorted.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tracer.errors import TracerError
from tracer.graph.influence import ROWS, edge_scores, gather
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
    n, errors = layout.first_bias, layout.first_embedding
    nodes = np.zeros(layout.n_nodes, dtype=bool)  # bias nodes are never kept
    nodes[:n] = holding(node_influence, node_threshold)
    nodes[errors:n] = True  # embeddings and logits stay
    rest = _rows_of(adjacency, nodes)
    if edge_threshold == 1 and rest.data[rest.indptr[layout.first_logit] :].any():
        edges = gather(nodes, rest.indices)  # all, without adding them up
    else:
        edges = holding(edge_scores(rest, layout, weights, nodes), edge_threshold)
    nodes, kept = _connected(nodes, _only(rest, edges), layout)
    return Pruned(nodes, cumulative_scores(node_influence, layout.n_nodes), kept)


def _rows_of(matrix: sparse.csr_array, nodes: np.ndarray) -> sparse.csr_array:
    """The matrix with all other rows emptied; `nodes` (n,) bool."""
    lengths = np.where(nodes, np.diff(matrix.indptr), 0)
    if lengths.sum() == matrix.nnz:
        return matrix
    chosen = matrix[np.flatnonzero(nodes)]
    starts = np.concatenate([[0], lengths.cumsum()]).astype(matrix.indptr.dtype)
    return sparse.csr_array((chosen.data, chosen.indices, starts), shape=matrix.shape)


def _only(matrix: sparse.csr_array, edges: np.ndarray) -> sparse.csr_array:
    """The matrix with some of its stored edges alone; `edges` (nnz,) bool."""
    n = np.count_nonzero(edges)
    data, indices, starts = np.empty(n, matrix.data.dtype), np.empty(n, matrix.indices.dtype), matrix.indptr.copy()
    done = 0
    for row in range(0, len(starts) - 1, ROWS):
        begins = matrix.indptr[row : row + ROWS + 1]
        span = slice(begins[0], begins[-1])
        at = np.flatnonzero(edges[span])
        starts[row : row + ROWS + 1] = done + np.searchsorted(at, begins - begins[0])
        to = slice(done, done + len(at))
        matrix.data[span].take(at, out=data[to], mode="clip")
        matrix.indices[span].take(at, out=indices[to], mode="clip")
        done += len(at)
    return sparse.csr_array((data, indices, starts), shape=matrix.shape)


def _connected(nodes: np.ndarray, kept: sparse.csr_array, layout: Layout) -> tuple[np.ndarray, sparse.csr_array]:
    """Without the features and errors that feed nothing, the features that nothing feeds, and their edges."""
    while True:
        there = sparse.csr_array((np.ones(kept.nnz, dtype=bool), kept.indices, kept.indptr), shape=kept.shape)
        fed, feeds = np.diff(kept.indptr) > 0, np.ones(layout.n_nodes, dtype=bool) @ there
        stay = nodes.copy()
        stay[: layout.first_embedding] &= feeds[: layout.first_embedding]
        stay[: layout.first_error] &= fed[: layout.first_error]
        lost = nodes & ~stay
        nodes = stay
        if not (lost & (fed | feeds)).any():  # they had no edges that others would miss
            return nodes, kept
        kept = _only(kept, nodes[_rows(kept)] & gather(nodes, kept.indices))


CHUNK = 1 << 16
"""Values worked on at once: they stay in the processor's cache."""

BIN = 48
"""Bits that are cut off a double for its bin; 16 are left: the values of a bin differ by a sixteenth at most."""


def holding(values: np.ndarray, threshold: float) -> np.ndarray:
    """(n,) bool: the largest values, as many as hold `threshold` of the sum, and the last one's equals.

    Only the values around the cut are sorted. A double's upper bits, as an integer, grow with it: they make bins, and
    one pass over them finds where the cut lies. `values` (n,) float64, none below 0.
    """
    spans = [slice(start, start + CHUNK) for start in range(0, len(values), CHUNK)]
    held = np.zeros(1 << (64 - BIN))
    for span in spans:
        sums = np.bincount(values[span].view(np.int64) >> BIN, weights=values[span])
        held[: len(sums)] += sums
    held = held[::-1].cumsum()[::-1]  # in this bin and above
    if held[0] <= 0:
        return np.zeros(len(values), dtype=bool)
    if threshold == 1:  # all of them, however their sum is rounded
        return np.ones(len(values), dtype=bool)
    wanted = threshold * held[0]
    bin_ = int(np.flatnonzero(held >= wanted)[-1])
    low, high = np.array([bin_ << BIN, (bin_ + 1) << BIN]).view(np.float64)
    kept, inside = np.empty(len(values), dtype=bool), []
    for span in spans:
        np.greater_equal(values[span], low, out=kept[span])
        inside.append(span.start + np.flatnonzero(kept[span] & (values[span] < high)))
    at = np.concatenate(inside)
    ordered = np.sort(values[at])[::-1]
    reached = np.searchsorted(held[bin_ + 1] + ordered.cumsum(), wanted)
    kept[at[values[at] < ordered[min(reached, len(ordered) - 1)]]] = False
    return kept


def cumulative_scores(node_influence: np.ndarray, n_nodes: int) -> np.ndarray:
    order = np.argsort(-node_influence, kind="stable")
    scores = np.full(n_nodes, np.nan)
    scores[order] = np.cumsum(node_influence[order]) / max(node_influence.sum(), 1e-30)
    return scores

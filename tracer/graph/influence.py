"""Influence: how much of the targets' explanation passes through each node (study/circuit-tracer.md §4).

M = |A| / row sum of |A|, w = the targets' weights on the logits: influence = w M + w M² + … . The graph is a DAG, so
one pass over the layers from the top gives the whole sum; M itself is never formed. Bias nodes take no part.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse

from tracer.graph.layout import Layout

ROWS = 64
"""Worked on at once, so that what is read and written stays in the processor's cache."""


def influence(adjacency: sparse.csr_array, layout: Layout, weights: np.ndarray) -> np.ndarray:
    """(nodes without bias,). `weights` (K,) of the targets, whose own influence is 0."""
    among = np.arange(layout.n_nodes) < layout.first_bias
    return _flow(adjacency, layout, weights, among)[: layout.first_bias]


def edge_scores(adjacency: sparse.csr_array, layout: Layout, weights: np.ndarray, among: np.ndarray) -> np.ndarray:
    """(nnz,): M[t, s] times the influence and weight of t, in the graph of some nodes alone: what an edge carries.

    `among` (n,) bool, no bias nodes: the nodes. Rows of others must be empty; edges from others carry 0.
    """
    scores = np.empty(adjacency.nnz)
    _flow(adjacency, layout, weights, among, scores)
    return scores


def _flow(
    adjacency: sparse.csr_array,
    layout: Layout,
    weights: np.ndarray,
    among: np.ndarray,
    carried: np.ndarray | None = None,
) -> np.ndarray:
    """(n,): influence in the graph of the nodes `among`. `carried` (nnz,) is filled with the edges' scores."""
    held = np.zeros(layout.n_nodes)  # influence, and weight
    held[layout.first_logit : layout.first_bias] = weights
    ones = among.astype(np.float64)
    for rows in _from_the_top(adjacency, layout):
        starts = np.append(adjacency.indptr[rows], adjacency.indptr[rows[-1] + 1])
        span = slice(starts[0], starts[-1])
        absolute, sources = np.abs(adjacency.data[span], dtype=np.float64), adjacency.indices[span]
        block = sparse.csr_array((absolute, sources, starts - starts[0]), shape=(len(starts) - 1, layout.n_nodes))
        rate = held[rows] / np.maximum(block @ ones, 1e-10)  # what a target passes on for each unit of |A|
        held += rate @ block
        if carried is not None:
            scores = carried[span]
            for i, (start, end) in enumerate(pairwise((starts - starts[0]).tolist())):
                np.multiply(absolute[start:end], rate[i], out=scores[start:end])
            scores[np.flatnonzero(~gather(among, sources))] = 0
    held[~among] = 0
    held[layout.first_logit : layout.first_bias] = 0
    return held


def _from_the_top(adjacency: sparse.csr_array, layout: Layout) -> Iterator[np.ndarray]:
    """The rows of the logits, then of each layer's features, some at a time: no row has a source before it.

    Without those that are empty, as most are while features are selected: what is left lies together.
    """
    filled = np.flatnonzero(np.diff(adjacency.indptr))
    spans = [(layout.first_logit, layout.first_bias), *reversed(list(pairwise(layout.layer_starts.tolist())))]
    for first, end in spans:
        rows = filled[slice(*np.searchsorted(filled, (first, end)))]
        for start in range(0, len(rows), ROWS):
            yield rows[start : start + ROWS]


def gather(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """values[indices]. NumPy would first make a copy of the indices in 64 bits: three times as slow."""
    return torch.from_numpy(values).index_select(0, torch.from_numpy(indices)).numpy()

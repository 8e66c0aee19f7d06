"""Influence: how much of the targets' explanation passes through each node (study/circuit-tracer.md §4).

M = |A| / row sum of |A|, w = the targets' weights on the logits: influence = w M + w M² + … . The graph is a DAG, so
one pass over the layers from the top gives the whole sum. Bias nodes take no part.
"""

import numpy as np
from scipy import sparse

from tracer.graph.layout import Layout


def normalised(adjacency: sparse.csr_array, layout: Layout) -> sparse.csr_array:
    """|A| without bias columns, each row divided by its sum; rows that sum to nothing stay empty. Float64."""
    return by_row(sparse.csr_array(abs(adjacency[:, : layout.first_bias]), dtype=np.float64))


def by_row(matrix: sparse.csr_array) -> sparse.csr_array:
    """A matrix of nothing below 0 with each row divided by its sum, in place."""
    sums = np.maximum(matrix.sum(axis=1), 1e-10)
    matrix.data /= np.repeat(sums, np.diff(matrix.indptr))
    return matrix


def influence(matrix: sparse.csr_array, layout: Layout, weights: np.ndarray) -> np.ndarray:
    """(nodes without bias,). `matrix` from `normalised`; `weights` (K,) of the targets, whose own influence is 0."""
    total = weights @ matrix[layout.first_logit : layout.first_bias]
    starts = layout.layer_starts
    for layer in reversed(range(layout.n_layers)):
        rows = slice(starts[layer], starts[layer + 1])
        total += total[rows] @ matrix[rows]
    return total

"""How much of the targets a graph explains by its nodes (formulas: study/circuit-tracer.md §4).

Replacement: of what is traced back to the inputs, the share that comes from tokens and not from errors. Completeness:
the share of all explained input that is not error, weighted by influence. The strict scores count what selection
dropped as error; for neurons, whose unchosen ones are in the error nodes already, both are the same.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tracer.graph.influence import influence
from tracer.graph.layout import Layout


@dataclass(frozen=True)
class Scores:
    replacement: float
    completeness: float
    strict_replacement: float
    strict_completeness: float


def scores(
    adjacency: sparse.csr_array, layout: Layout, weights: np.ndarray, dropped: sparse.csr_array | None = None
) -> Scores:
    """`dropped` (n, L·T) counts as error in the strict scores, and not at all in the others."""
    own = own_scores(adjacency, layout, weights)
    if dropped is None:
        return Scores(*own, *own)
    first, end = layout.first_error, layout.first_embedding
    errors = abs(adjacency[:, first:end]) + abs(dropped)
    strict = sparse.hstack([adjacency[:, :first], errors, adjacency[:, end:]], format="csr")
    return Scores(*own, *own_scores(strict, layout, weights))


def own_scores(adjacency: sparse.csr_array, layout: Layout, weights: np.ndarray) -> tuple[float, float]:
    """Replacement and completeness.

    What a node's input owes to errors, times its influence, is what it sends to them: summed over all nodes, the
    errors' influence.
    """
    node_influence = influence(adjacency, layout, weights)
    errors = node_influence[layout.first_error : layout.first_embedding].sum()
    tokens = node_influence[layout.first_embedding : layout.first_logit].sum()
    mass = node_influence.sum() + weights.sum()
    return float(tokens / max(tokens + errors, 1e-30)), float((mass - errors) / max(mass, 1e-30))

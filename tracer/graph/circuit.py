"""A circuit: pinned nodes of a graph, some of them merged into supernodes, and what flows between them.

Formulas: study/methods.md §5. An edge of the circuit is W[T, S] = Σ_{t∈T} Σ_{s∈S} A[t, s]. Its flow weighs each
member's signed shares by how much of the explanation passes through it: Σ_t I_t Σ_s A[t, s]/Σ|A[t]| / Σ_t I_t. What
flows between two members of a group is inside it, and counted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tracer.graph.graph import Graph
from tracer.graph.layout import Layout
from tracer.graph.scores import own_scores


@dataclass(frozen=True)
class Circuit:
    """n supernodes, in the order given; a node on its own is a supernode of one."""

    effect: np.ndarray  # (n, n): W, row = target; 0 within a supernode
    flow: np.ndarray  # (n, n): signed share of the target's input
    influence: np.ndarray  # (n,): of the members, less what passes from one member to another
    cycles: list[list[int]]  # supernodes that feed one another in a circle: no order of cause and effect


def condense(graph: Graph, supernodes: Sequence[Sequence[int]]) -> Circuit:
    """Merge nodes, given by their place in the graph. Raises ValueError for a node in two supernodes."""
    members = np.array([node for supernode in supernodes for node in supernode], dtype=np.int64)
    if len(np.unique(members)) < len(members):
        raise ValueError("a node is in two supernodes")
    layout, n = graph.layout, len(supernodes)
    owner = np.repeat(np.arange(n), [len(supernode) for supernode in supernodes])
    merge = sparse.csr_array((np.ones(len(members)), (owner, np.arange(len(members)))), shape=(n, len(members)))
    among = sparse.csr_array(graph.adjacency[members][:, members], dtype=np.float64)
    weight = graph.influence[members].astype(np.float64)
    is_logit = (members >= layout.first_logit) & (members < layout.first_bias)
    weight[is_logit] = graph.weights[members[is_logit] - layout.first_logit]
    mass = np.maximum(graph.mass[members].astype(np.float64), 1e-10)
    effect = (merge @ among @ merge.T).toarray()
    passing = (merge @ sparse.diags_array(weight / mass) @ among @ merge.T).toarray()
    total = merge @ weight
    flow = passing / np.maximum(total, 1e-30)[:, None]
    # influence leaves bias out, so what passes inside is a share of the rest
    without_bias = np.maximum(abs(graph.adjacency[members][:, : layout.first_bias]).sum(axis=1), 1e-10)
    inside = np.diag((merge @ sparse.diags_array(weight / without_bias) @ abs(among) @ merge.T).toarray())
    for matrix in (effect, flow):
        np.fill_diagonal(matrix, 0)
    return Circuit(effect, flow, total - inside, _cycles(effect))


def _cycles(effect: np.ndarray) -> list[list[int]]:
    n_parts, part = connected_components(sparse.csr_array(effect != 0), connection="strong")
    found = [np.flatnonzero(part == i).tolist() for i in range(n_parts)]
    return [supernodes for supernodes in found if len(supernodes) > 1]


def circuit_scores(graph: Graph, pinned: Sequence[int]) -> tuple[float, float]:
    """Replacement and completeness if the pinned nodes were all that is known.

    A feature that is not pinned joins the error node of its layer and position: what it feeds counts as error, and
    nothing is traced through it. Neuronpedia takes the pruned graph for this, here it is the whole one.
    """
    layout: Layout = graph.layout
    unknown = np.ones(layout.n_features, dtype=bool)
    unknown[[node for node in pinned if node < layout.n_features]] = False
    absolute = sparse.csr_array(abs(graph.adjacency[:, : layout.first_bias]))
    column = np.arange(layout.first_bias)
    column[: layout.n_features][unknown] = layout.error(layout.layer[unknown], layout.position[unknown])
    # nothing reaches the rows of unknown features any more, so they count no longer
    merged = sparse.csr_array((absolute.data, column[absolute.indices], absolute.indptr), absolute.shape)
    merged.sum_duplicates()
    return own_scores(merged, layout, graph.weights)

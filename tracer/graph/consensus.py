"""The circuit that many graphs of one model share: edges between features, how often they are there, how strong.

Nodes are features by (layer, index), all tokens as one source, and the targets as one sink. The edge t ← s of one graph
is Σ_i u_i Σ_j A[i, j] / Σ_i u_i mass_i over the nodes i of t and j of s: the signed share of t's absolute input (bias
and dropped features included) that comes from s. u is 1 for features, and a target's weight for targets, so a feature
that is a node at several positions counts once. Direct effects alone: no path through features that are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import stdtrit

from tracer.graph.aggregate import LEVEL, clopper_pearson
from tracer.graph.graph import Graph

LEAST = 0.01
"""Share of its target's input from which an edge counts as present."""


@dataclass(frozen=True)
class Consensus:
    """Nodes are numbered: the features in the order given, then tokens, then targets."""

    features: list[tuple[int, int]]
    there: np.ndarray  # (n,): in how many graphs
    edges: pd.DataFrame
    n_graphs: int

    @property
    def tokens(self) -> int:
        return len(self.features)

    @property
    def targets(self) -> int:
        return len(self.features) + 1


def consensus(
    graphs: Iterable[Graph], features: Sequence[tuple[int, int]], least: float = LEAST, level: float = LEVEL
) -> Consensus:
    """One graph at a time is looked at; the caller sees to it that all are of one model (`recurring` checks).

    `edges` has a row for each pair with an effect in any graph, those present in most graphs first: `source`, `target`;
    `graphs`: those where both are nodes; `present`: those where the edge is `least` or more in absolute value; `share`
    = present of all graphs, with its Clopper–Pearson interval `low`, `high`; `mean`: of the edge over `graphs`, with
    `mean_low`, `mean_high`, the t interval of that mean (nan where it is of one graph).
    """
    n = len(features) + 2
    mean, squares = np.zeros((n, n)), np.zeros((n, n))  # Welford's: Σ of squared distances from the mean
    both, present, there, n_graphs = np.zeros((n, n), int), np.zeros((n, n), int), np.zeros(n, int), 0
    for graph in graphs:
        edges, here = _edges(graph, features)
        pairs = np.outer(here, here)
        n_graphs, there, both = n_graphs + 1, there + here, both + pairs
        present += pairs & (np.abs(edges) >= least)
        gap = np.where(pairs, edges - mean, 0)
        mean += gap / np.maximum(both, 1)
        squares += np.where(pairs, gap * (edges - mean), 0)
    target, source = np.nonzero((mean != 0) | (squares != 0))
    count = both[target, source]
    error = np.sqrt(squares[target, source] / np.maximum(count - 1, 1) / np.maximum(count, 1))
    half = np.where(count > 1, stdtrit(np.maximum(count - 1, 1), (1 + level) / 2) * error, np.nan)
    low, high = clopper_pearson(present[target, source], n_graphs, level)
    table = pd.DataFrame(
        {
            "source": source,
            "target": target,
            "graphs": count,
            "present": present[target, source],
            "share": present[target, source] / max(n_graphs, 1),
            "low": low,
            "high": high,
            "mean": mean[target, source],
            "mean_low": mean[target, source] - half,
            "mean_high": mean[target, source] + half,
        }
    )
    order = np.lexsort((-table["mean"].abs(), -table["present"]))
    return Consensus(list(features), there, table.iloc[order].reset_index(drop=True), n_graphs)


def _edges(graph: Graph, features: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """(n, n) shares, row = target, and which nodes are there (n,)."""
    layout, m = graph.layout, len(features)
    number = {feature: i for i, feature in enumerate(features)}
    named = zip(layout.layer.tolist(), layout.feature.tolist(), strict=True)
    owner = np.full(layout.n_nodes, -1)
    owner[: layout.n_features] = [number.get(feature, -1) for feature in named]
    owner[layout.first_embedding : layout.first_logit] = m
    owner[layout.first_logit : layout.first_bias] = m + 1
    members = np.flatnonzero(owner >= 0)
    owner = owner[members]
    merge = sparse.csr_array((np.ones(len(members)), (owner, np.arange(len(members)))), shape=(m + 2, len(members)))
    weight = np.ones(len(members))
    weight[owner == m + 1] = graph.weights
    rows = merge @ sparse.diags_array(weight)
    among = sparse.csr_array(graph.adjacency[members][:, members], dtype=np.float64)
    mass = rows @ graph.mass[members].astype(np.float64)
    return (rows @ among @ merge.T).toarray() / np.maximum(mass, 1e-30)[:, None], np.bincount(
        owner, minlength=m + 2
    ) > 0

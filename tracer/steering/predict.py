"""What a graph says that edits will do, to be compared with what they did. Formulas: DESIGN §4, study/methods.md §3.3.

A row of a graph is linear in its sources' activations: Δ_t = Σ_s A[t, s] · Δ_s / a_s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tracer.graph.graph import Graph
from tracer.steering.edits import Applied


@dataclass(frozen=True)
class Prediction:
    """Changes of the graph's rows, (n,) each, by node: demeaned logits, and what feature rows sum to."""

    direct: np.ndarray  # by edges from the edited nodes alone: what `direct` gives
    through: np.ndarray  # and through the features between, edited nodes held: a first guess of `clamp` and `free`
    missing: list[Applied]  # edits that the graph says nothing of: no node there, or an activation of 0

    def of_target(self, graph: Graph, id: int) -> tuple[float, float] | None:
        """(direct, through) of a token's demeaned logit; None where the graph doesn't explain it by itself."""
        for k, target in enumerate(graph.targets):
            if target.id == id:
                node = graph.layout.first_logit + k
                return float(self.direct[node]), float(self.through[node])
        return None


def predict(graph: Graph, edits: Sequence[Applied], clipped: bool) -> Prediction:
    """`clipped`: features that are positive end at 0 (transcoders); neurons go below.

    A neuron's row sums to its frozen read, half of what its activation follows: `through` is a guess for neurons.
    """
    layout = graph.layout
    relative = np.zeros(layout.n_nodes)  # Δ_s / a_s
    held = np.zeros(layout.n_nodes, dtype=bool)
    missing = []
    for edit in edits:
        if not edit.writes:  # outside the range that `constrained` holds: nothing was changed
            continue
        node = graph.index.get(f"{edit.layer}_{edit.feature}_{edit.position}")
        if node is None or graph.activation[node] == 0:
            missing.append(edit)
            continue
        relative[node] = (edit.value - edit.before) / graph.activation[node]
        held[node] = True
    direct = graph.adjacency @ relative
    for first, last in pairwise(layout.layer_starts.tolist()):
        span = slice(first, last)
        change = graph.adjacency[span] @ relative
        activation = graph.activation[span]
        if clipped:
            change = np.maximum(activation + change, np.minimum(activation, 0)) - activation  # of TopK some are below
        safe = np.where(activation == 0, 1, activation)
        relative[span] = np.where(held[span], relative[span], np.where(activation == 0, 0, change / safe))
    return Prediction(direct, graph.adjacency @ relative, missing)

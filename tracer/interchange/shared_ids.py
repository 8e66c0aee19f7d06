"""Which node a link means where a feature and an error have the same id.

circuit-tracer up to 0.5.0 calls the error of a layer `0_layer_position`, which is also feature `layer` of layer 0; one
graph in three of the parity set has such a pair. Only a feature has inputs, so a link's target is plain. Its source is
settled by layers (an error of layer l feeds only layers above l) or else by order: circuit-tracer writes links by
target, then source, both in the order of the nodes.
"""

import numpy as np


def settle(targets: np.ndarray, sources: np.ndarray, others: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The source of each link, −1 where it can't be told.

    Nodes are counted in the file's order. `sources` (E,) holds the one candidate, or the first of two; `others` (E,)
    the second, −1 where there is none; `level` (n,) is each node's layer.
    """
    settled = np.where(others < 0, sources, -1)
    sure = settled >= 0
    key = targets[sure] * len(level) + sources[sure]
    ordered = bool((np.diff(key) > 0).all())
    for i in np.flatnonzero(~sure):
        candidates = [c for c in (sources[i], others[i]) if level[c] < level[targets[i]]]
        if len(candidates) > 1 and ordered:
            after, before = -1, len(level)
            if i and targets[i - 1] == targets[i]:
                after = settled[i - 1]
            if i + 1 < len(targets) and targets[i + 1] == targets[i]:
                before = max(sources[i + 1], others[i + 1])
            candidates = [c for c in candidates if after < c < before]
        if len(candidates) == 1:
            settled[i] = candidates[0]
    return settled

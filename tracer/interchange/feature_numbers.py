"""The `feature` field of a feature node: one number for layer and index, in one of three dialects.

Files with schema_version 1 pair them by Cantor; Neuronpedia's older ones write layer·100000 + index; some tools write
the index alone. The node id, `layer_index_position`, says the index again: a dialect has to agree with it everywhere.
"""

import re
from collections.abc import Sequence
from math import isqrt

from tracer.errors import TracerError
from tracer.interchange.schema import Node

OLD_BASE = 100_000


def cantor(layer: int, index: int) -> int:
    """The number of a pair (study/circuit-tracer.md §5)."""
    return (layer + index) * (layer + index + 1) // 2 + index


def _from_cantor(layer: int, number: int) -> int | None:
    diagonal = (isqrt(8 * number + 1) - 1) // 2
    index = number - diagonal * (diagonal + 1) // 2
    return index if diagonal - index == layer else None


def _from_old(layer: int, number: int) -> int | None:
    return number % OLD_BASE if number // OLD_BASE == layer else None


def _from_plain(layer: int, number: int) -> int | None:
    return number


DIALECTS = {"cantor": _from_cantor, "layer·100000 + index": _from_old, "index": _from_plain}


def read_indices(nodes: Sequence[Node], layers: Sequence[int]) -> tuple[list[int], str | None]:
    """The index of each feature node in its layer, and the dialect. Raises TracerError where none fits all nodes."""
    named = [_in_id(node, layer) for node, layer in zip(nodes, layers, strict=True)]
    if not nodes:
        return [], None
    for dialect, decode in DIALECTS.items():
        indices = [
            name if node.feature is None else decode(layer, node.feature) if node.feature >= 0 else None
            for node, layer, name in zip(nodes, layers, named, strict=True)
        ]
        if all(i is not None and name in (None, i) for i, name in zip(indices, named, strict=True)):
            return [i for i in indices if i is not None], dialect
    raise TracerError(
        f"the feature numbers fit none of the known ways to write them ({', '.join(DIALECTS)}),"
        " or contradict the node ids; export the graph again"
    )


def _in_id(node: Node, layer: int) -> int | None:
    match = re.fullmatch(r"(\d+)_(\d+)_(\d+)", node.node_id, re.ASCII)
    return int(match[2]) if match and (int(match[1]), int(match[3])) == (layer, node.ctx_idx) else None

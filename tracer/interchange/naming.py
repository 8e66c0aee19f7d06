"""How models, feature sets, targets and other names are called where another program reads or wrote them."""

from pathlib import PurePath

from tracer.graph.file import Target
from tracer.graph.graph import Graph

VIRTUAL_ID = 1 << 24
"""Larger than any vocabulary: where a target that is no token, like a difference, begins to be numbered. circuit-tracer
takes its vocabulary's size, which a graph file doesn't say."""


def vocabulary_id(target: Target, k: int) -> int:
    """The number of the k-th target where a token id must stand."""
    return VIRTUAL_ID + k if target.id is None else target.id


def public_name(name: str) -> str:
    """A Hub id or a preset as it is; of a folder, which is nobody else's business, only its own name."""
    return name if name.count("/") <= 1 and name[:1] not in "/.~" and "\\" not in name else PurePath(name).name


def scan_of(graph: Graph) -> str:
    """What the feature numbers count: the feature set; for neurons, which no set numbers, the model."""
    model, basis = public_name(graph.meta["model"]), public_name(graph.meta["features"])
    return model if basis == "neurons" else basis


def quoted(name: str) -> str:
    """A name from a file in an error: one line, whatever is in it."""
    return repr(name if len(name) <= 80 else name[:80] + "…")

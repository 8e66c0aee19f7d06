"""A link to a graph on Neuronpedia's page: what it pins, groups and names, in all dialects (study/neuronpedia.md §1.8).

The link is read, not followed: the graph must be here already. It is anybody's text, so nothing in it is believed.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, TypeAdapter, ValidationError

from tracer.errors import TracerError
from tracer.graph.graph import Graph
from tracer.interchange.feature_numbers import OLD_BASE, cantor
from tracer.interchange.neuronpedia import file_ids

MAX_LENGTH = 1_000_000
"""Characters. Links with hundreds of labels take some tens of thousands."""

_SUPERNODES = TypeAdapter(list[list[str]])
_LABELS = TypeAdapter(list[tuple[str, str]])
_SHARE = TypeAdapter(Annotated[float, Field(ge=0, le=1)])


@dataclass
class Link:
    """Nodes by the ids of `Graph.ids`."""

    pins: list[str] = field(default_factory=list)
    supernodes: list[tuple[str, list[str]]] = field(default_factory=list)  # label, members
    labels: dict[str, str] = field(default_factory=dict)
    node_threshold: float | None = None
    edge_threshold: float | None = None
    ignored: Counter[str] = field(default_factory=Counter)  # what was left out, and how often


def read_link(text: str, graph: Graph) -> Link:
    """Raises TracerError for a text that is no such link. What this graph does not have is counted as ignored."""
    if len(text) > MAX_LENGTH:
        raise TracerError(f"the link is longer than {MAX_LENGTH:,} characters")
    try:
        query = parse_qs(urlsplit(text.strip()).query, max_num_fields=100)
    except ValueError as problem:
        raise TracerError("this is no link: copy the whole address of Neuronpedia's page") from problem
    values = {name: found[-1] for name, found in query.items()}
    if not values.keys() & {"pinnedIds", "supernodes", "clerps", "pruningThreshold", "densityThreshold"}:
        raise TracerError("the link pins nothing, groups nothing and names nothing")
    known = dict(zip(file_ids(graph), graph.ids, strict=False))
    link = Link()
    names = [name for name in values.get("pinnedIds", "").split(",") if name]
    link.pins = list(dict.fromkeys(known[name] for name in names if name in known))
    link.ignored["pins that this graph does not have"] = sum(name not in known for name in names)
    for label, *members in _parsed(_SUPERNODES, values, "supernodes", link):
        link.ignored["members that this graph does not have"] += sum(name not in known for name in members)
        here = [known[name] for name in members if name in known]
        if here:
            link.supernodes.append((label, here))
    _read_labels(_parsed(_LABELS, values, "clerps", link), graph, link)
    link.node_threshold = _share(values, "pruningThreshold", link)
    link.edge_threshold = _share(values, "densityThreshold", link)
    link.ignored = +link.ignored
    return link


def _parsed(adapter: TypeAdapter, values: dict[str, str], name: str, link: Link) -> list:
    if name not in values:
        return []
    try:
        found = adapter.validate_python(json.loads(values[name]), strict=False)
    except (ValueError, ValidationError, RecursionError):
        link.ignored[f"{name} that can't be read"] += 1
        return []
    return [item for item in found if item]


def _read_labels(pairs: list[tuple[str, str]], graph: Graph, link: Link) -> None:
    """By `layer_number_position`, the number in any dialect; the oldest links name a feature by its number alone."""
    nodes: dict[str, list[str]] = {}
    layout = graph.layout
    for node in range(layout.n_features):
        layer, position, index = (int(x[node]) for x in (layout.layer, layout.position, layout.feature))
        old = layer * OLD_BASE + index
        for name in (f"{layer}_{cantor(layer, index)}_{position}", f"{layer}_{old}_{position}", graph.ids[node]):
            nodes.setdefault(name, [graph.ids[node]])
        nodes.setdefault(str(old), []).append(graph.ids[node])
    for name, label in pairs:
        link.ignored["labels of features that this graph does not have"] += name not in nodes
        link.labels |= dict.fromkeys(nodes.get(name, []), label)


def _share(values: dict[str, str], name: str, link: Link) -> float | None:
    if name not in values:
        return None
    try:
        return _SHARE.validate_python(values[name])
    except ValidationError:
        link.ignored[f"{name} outside 0 to 1"] += 1
        return None

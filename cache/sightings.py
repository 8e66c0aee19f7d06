"""Where else a feature is a node: in the newest cached graphs of the same model and feature basis.

A graph's node list is read once, without its matrix, and kept in memory (14 bytes a node); what has left the cache is
forgotten. Knows graphs by key and meta.
"""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cache.graphs import Entry, GraphCache

if TYPE_CHECKING:
    from tracer.graph.peek import FeatureNodes

NEWEST = 100  # graphs looked at


@dataclass(frozen=True)
class Sighting:
    """A feature as a node of a cached graph, where its activation is largest in absolute value."""

    key: str
    prompt: str
    node: str  # its id there
    token: str
    position: int
    activation: float
    n_positions: int  # at how many positions of that graph it is a node


class Sightings:
    def __init__(self, cache: GraphCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._known: dict[tuple[str, float], FeatureNodes | None] = {}  # by key and the time when it was stored

    def find(self, model: str, basis: str, layer: int, feature: int) -> list[Sighting]:
        """`model` and `basis` are fingerprints. The largest absolute activation first."""
        entries = [entry for entry in self._cache.recent(NEWEST) if _made_of(entry.meta) == (model, basis)]
        with self._lock:
            listed = {(entry.key, entry.stored) for entry in entries}
            others = {known for known in self._known if known not in listed}
            for old in others if len(self._known) > 2 * NEWEST else ():
                del self._known[old]
            for entry in entries:
                if (entry.key, entry.stored) not in self._known:
                    self._known[entry.key, entry.stored] = self._cache.feature_nodes(entry.key)
            lists = [self._known[entry.key, entry.stored] for entry in entries]
        found = [
            _sighting(entry, layer, feature, at)
            for entry, nodes in zip(entries, lists, strict=True)
            if nodes is not None and (at := nodes.of(layer, feature))
        ]
        return sorted(found, key=lambda sighting: -abs(sighting.activation))


def _made_of(meta: dict[str, Any]) -> tuple[Any, Any]:
    return meta.get("model_fingerprint"), meta.get("basis_fingerprint")


def _sighting(entry: Entry, layer: int, feature: int, at: list[tuple[int, float]]) -> Sighting:
    position, activation = max(at, key=lambda pair: abs(pair[1]))
    tokens = entry.meta.get("tokens")
    known = isinstance(tokens, list) and 0 <= position < len(tokens)
    return Sighting(
        key=entry.key,
        prompt=str(entry.meta.get("prompt", "")),
        node=f"{layer}_{feature}_{position}",
        token=str(tokens[position]) if known and tokens is not None else "",
        position=position,
        activation=activation,
        n_positions=len(at),
    )

"""What the model tells of a feature, kept on disk: the tokens that it raises and lowers."""

import json

from pydantic import TypeAdapter, ValidationError

import tracer
from cache import FactCache, fact_key

Says = tuple[list[tuple[str, float]], list[tuple[str, float]]]
"""As `ReplacementModel.says` gives it."""

_SAYS: TypeAdapter[Says] = TypeAdapter(Says)


_IN_MEMORY = 5000  # features: a click on one of them reads nothing, also where the disk keeps nothing


class FeatureFacts:
    def __init__(self, cache: FactCache) -> None:
        self._cache = cache
        self._latest: dict[str, Says] = {}  # by key; of threads that fill it at once each does the same work

    def says(self, model: tracer.ReplacementModel, layer: int, feature: int) -> Says:
        """`model.says`, computed once for each feature of these weights and this basis."""
        key = fact_key("says", model.model_fingerprint, model.basis_fingerprint, tracer.ENGINE_VERSION, layer, feature)
        found = self._latest.get(key) or self._kept(key)
        if found is None:
            found = model.says(layer, feature)
            self._cache.put(key, json.dumps(found))
        if len(self._latest) >= _IN_MEMORY:
            self._latest = {}
        self._latest[key] = found
        return found

    def _kept(self, key: str) -> Says | None:
        text = self._cache.get(key)
        try:
            return None if text is None else _SAYS.validate_json(text)
        except ValidationError:  # spoiled: it can be made again
            return None

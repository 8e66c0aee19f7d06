"""What a feature says is computed once: not in another session, not after a restart."""

from pathlib import Path
from typing import Any

import pytest

import tracer
from cache import FactCache, fact_key
from service.facts import FeatureFacts
from tests.helpers import replacement, tiny_llama


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Which features' tokens were computed."""
    seen: list[tuple[int, int]] = []
    real = tracer.ReplacementModel.says

    def says(self: tracer.ReplacementModel, layer: int, feature: int, *more: Any) -> Any:
        seen.append((layer, feature))
        return real(self, layer, feature, *more)

    monkeypatch.setattr(tracer.ReplacementModel, "says", says)
    return seen


def facts(folder: Path) -> FeatureFacts:
    """As after a restart."""
    return FeatureFacts(FactCache(folder, 1_000_000))


def test_computed_once_for_good(tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    model = replacement(tiny_llama())
    first = facts(tmp_path)
    found = first.says(model, 1, 5)
    assert found == model.says(1, 5) and len(found[0]) == len(found[1]) == 8
    computed.clear()
    assert first.says(model, 1, 5) == found
    assert facts(tmp_path).says(model, 1, 5) == found
    assert computed == []
    assert first.says(model, 1, 6) != found
    other = replacement(tiny_llama(seed=1))
    other.model_fingerprint = "of other weights"
    assert first.says(other, 1, 5) != found
    assert computed == [(1, 6), (1, 5)]


def test_what_is_spoiled_is_computed_again(tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    model = replacement(tiny_llama())
    found = facts(tmp_path).says(model, 1, 5)
    key = fact_key("says", model.model_fingerprint, model.basis_fingerprint, tracer.ENGINE_VERSION, 1, 5)
    for spoiled in ("[[", '[[["a", "much"]], []]', "null"):
        assert FactCache(tmp_path, 1_000_000).put(key, spoiled)
        computed.clear()
        assert facts(tmp_path).says(model, 1, 5) == found
        assert computed == [(1, 5)]


def test_a_disk_that_keeps_nothing_costs_once_a_run(tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    class Full(FactCache):
        def put(self, key: str, text: str) -> bool:
            return False

    model, full = replacement(tiny_llama()), FeatureFacts(Full(tmp_path, 1_000_000))
    assert full.says(model, 1, 5) == full.says(model, 1, 5)
    assert computed == [(1, 5)]

"""Facts of features: found again by another process, bounded, and never in the way."""

import sqlite3
import stat
from pathlib import Path

import diskcache
import pytest

from cache import CacheError, FactCache, fact_key


def test_a_fact_comes_back_and_goes(tmp_path: Path) -> None:
    folder = tmp_path / "facts"
    facts = FactCache(folder, 1_000_000)
    assert facts.get("k") is None
    assert facts.put("k", "short") and facts.put("l", "ö" * 100_000)  # in the table, and in a file
    again = FactCache(folder, 1_000_000)
    assert (again.get("k"), again.get("l")) == ("short", "ö" * 100_000)
    again.delete("k")
    assert facts.get("k") is None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_is_bounded(tmp_path: Path) -> None:
    facts = FactCache(tmp_path, 1_000_000)
    for i in range(60):
        assert facts.put(f"k{i}", "x" * 50_000)
    assert facts.get("k0") is None and facts.get("k59") is not None
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.val")) < 1_100_000


def test_what_is_no_text_is_a_miss(tmp_path: Path) -> None:
    facts = FactCache(tmp_path, 1_000_000)
    facts.put("k", "text")
    with sqlite3.connect(tmp_path / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4, value = ?", (b"cos\nsystem\n(S'true'\ntR.",))
    assert facts.get("k") is None


def test_a_bad_disk_is_a_miss_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    facts = FactCache(tmp_path / "facts", 1_000_000)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(diskcache.Disk, "_write", full)
    assert not facts.put("k", "x" * 100_000)
    assert "No space left on device" in caplog.text and facts.get("k") is None
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="HYPOGRAPH_CACHE"):
        FactCache(tmp_path / "file" / "x", 1_000_000)


def test_every_ingredient_changes_the_key() -> None:
    keys = {fact_key("a", 1, 2), fact_key("a", 12), fact_key("a", "1", "2"), fact_key("b", 1, 2), fact_key("a", 1, 3)}
    assert len(keys) == 5

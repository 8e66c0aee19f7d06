"""The cache of graphs: found again, bounded, safe for several processes, and never in the way."""

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import diskcache
import pytest

import tracer
from cache import CacheError, GraphCache, graph_key
from tests.cache.fake_graph import MB, FakeGraph

INGREDIENTS = {
    "model_fingerprint": "m",
    "basis_fingerprint": "b",
    "token_ids": [2, 17, 5],
    "targets": None,
    "position": None,
    "max_logits": 10,
    "logit_mass": 0.95,
    "max_nodes": "auto",
    "engine_version": "1",
}
CHANGES = [
    {"model_fingerprint": "m2"},
    {"basis_fingerprint": "b2"},
    {"token_ids": [2, 17]},
    {"token_ids": [2, 5, 17]},
    {"targets": [17]},
    {"targets": [17, 5]},
    {"targets": tracer.Difference(17, 5)},
    {"targets": tracer.Difference(5, 17)},
    {"position": 1},
    {"max_logits": 9},
    {"logit_mass": 0.9},
    {"max_nodes": 2000},
    {"max_nodes": None},
    {"engine_version": "2"},
]


def test_every_ingredient_changes_the_key() -> None:
    keys = [graph_key(**{**INGREDIENTS, **change}) for change in [{}, *CHANGES]]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 for key in keys)


def test_the_key_is_the_same_for_the_same_request() -> None:
    again = {**INGREDIENTS, "token_ids": (2, 17, 5), "logit_mass": 0.950}
    assert graph_key(**again) == graph_key(**INGREDIENTS)


def test_the_engine_version_is_an_ingredient_by_default() -> None:
    without = {name: value for name, value in INGREDIENTS.items() if name != "engine_version"}
    assert graph_key(**without) == graph_key(**without, engine_version=tracer.ENGINE_VERSION)


@pytest.mark.parametrize("size", [200, MB], ids=["in the table", "in a file"])
def test_a_graph_comes_back(graphs: GraphCache, folder: Path, size: int) -> None:
    assert graphs.get("k") is None
    assert graphs.put("k", FakeGraph("k", size))
    again = GraphCache(folder, 10 * MB).get("k")
    assert again is not None
    assert (again.meta, again.size) == ({"name": "k"}, size)


def test_the_folder_is_private(graphs: GraphCache, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    GraphCache(folder, 10 * MB)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("parent", ["file", "/proc"])
def test_a_folder_that_cannot_be_written_says_what_to_change(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError) as caught:
        GraphCache(tmp_path / parent / "x", 10 * MB)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in (f"{parent}/x", "HYPOGRAPH_HOME", "HYPOGRAPH_CACHE"))


def test_eviction_keeps_the_newest_and_never_empties(graphs: GraphCache) -> None:
    lengths = []
    for i in range(30):
        assert graphs.put(f"k{i}", FakeGraph(f"k{i}", MB))
        assert graphs.get(f"k{i}") is not None
        assert graphs.volume() <= 10 * MB
        lengths.append(len(graphs))
    assert set(lengths[9:]) == {9}


def test_what_was_read_lately_stays(graphs: GraphCache) -> None:
    for i in range(30):
        graphs.put(f"k{i}", FakeGraph(f"k{i}", MB))
        assert graphs.get("k0") is not None


def test_a_large_graph_after_many_small_ones_stays_within_the_limit(graphs: GraphCache) -> None:
    for i in range(90):
        graphs.put(f"small{i}", FakeGraph("small", MB // 10))
    for i in range(4):
        assert graphs.put(f"large{i}", FakeGraph("large", 4 * MB))
        assert graphs.volume() <= 10 * MB
    assert [entry.key for entry in graphs.recent(2)] == ["large3", "large2"]


def test_writers_that_overtake_each_other_do_not_empty_the_cache(graphs: GraphCache) -> None:
    for i in range(30):
        graphs._cache.set(f"k{i}", bytes(MB))  # as if another process had filled the room made for it
        assert len(graphs) >= min(i + 1, 9)


def test_a_lowered_limit_holds_from_the_start(graphs: GraphCache, folder: Path) -> None:
    for i in range(9):
        graphs.put(f"k{i}", FakeGraph("k", MB))
    smaller = GraphCache(folder, 4 * MB)
    assert smaller.volume() <= 4 * MB
    assert [entry.key for entry in smaller.recent(9)] == ["k8", "k7", "k6"]


def test_a_clock_set_back_does_not_evict_the_new_graph(graphs: GraphCache, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(9):
        graphs.put(f"k{i}", FakeGraph("k", MB))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 7200)
    assert graphs.put("new", FakeGraph("new", MB))
    assert graphs.get("new") is not None


def test_an_oversize_graph_is_refused_and_evicts_nothing(graphs: GraphCache, caplog: pytest.LogCaptureFixture) -> None:
    for i in range(5):
        graphs.put(f"k{i}", FakeGraph("k", MB))
    assert graphs.put("big", FakeGraph("big", 11 * MB)) is False
    assert "HYPOGRAPH_CACHE_GB" in caplog.text
    assert len(graphs) == 5
    assert graphs.get("big") is None


@pytest.mark.parametrize("damage", ["torn", "flipped", "gone", "foreign", "no checksum"])
def test_a_spoiled_entry_is_dropped_and_can_be_put_again(
    graphs: GraphCache, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    graphs.put("k", FakeGraph("k", MB))
    (file,) = folder.rglob("*.val")
    data = bytearray(file.read_bytes())
    if damage == "torn":
        file.write_bytes(data[: MB // 2])
    elif damage == "flipped":
        data[MB // 2] ^= 1
        file.write_bytes(data)
    elif damage == "gone":
        file.unlink()
    elif damage == "foreign":
        graphs._cache.set("k", b"not a graph", tag=json.dumps({"sha256": _sha(b"not a graph"), "meta": {}}))
    else:
        graphs._cache.set("k", bytes(data))
    assert graphs.get("k") is None
    assert "k" not in graphs
    assert ("spoiled" in caplog.text) == (damage != "gone")
    assert graphs.put("k", FakeGraph("k", MB))
    assert graphs.get("k") is not None


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_garbled_database_starts_empty(graphs: GraphCache, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    graphs.put("k", FakeGraph("k"))
    graphs._cache.close()
    for name in ("cache.db-wal", "cache.db-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "cache.db").write_bytes(b"no database" * 1000)
    fresh = GraphCache(folder, 10 * MB)
    assert "starts empty" in caplog.text
    assert fresh.put("k", FakeGraph("k"))
    assert fresh.get("k") is not None


def make_read_only(graphs: GraphCache) -> None:
    graphs._cache._sql("PRAGMA query_only = 1")  # what a read-only disk does, to this thread's connection


def test_a_disk_that_fails_later_is_a_warning(graphs: GraphCache, caplog: pytest.LogCaptureFixture) -> None:
    graphs.put("k", FakeGraph("k", MB))
    make_read_only(graphs)
    assert graphs.put("l", FakeGraph("l", MB)) is False
    assert "could not keep" in caplog.text
    make_read_only(graphs)
    assert graphs.get("k") is None  # least-recently-used writes on every read
    assert "could not be read" in caplog.text
    make_read_only(graphs)
    assert graphs.delete("k") is False
    make_read_only(graphs)
    with pytest.raises(CacheError, match="could not be cleared"):
        graphs.clear()


def test_a_failed_write_leaves_no_file_and_the_next_one_works(graphs: GraphCache, folder: Path) -> None:
    graphs.put("k", FakeGraph("k", MB))
    graphs._cache._sql(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON Cache BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    assert graphs.put("l", FakeGraph("l", MB)) is False
    assert len(list(folder.rglob("*.val"))) == 1
    assert graphs.put("l", FakeGraph("l", MB))


def test_a_thread_left_in_a_transaction_recovers(graphs: GraphCache) -> None:
    graphs._cache._sql("BEGIN IMMEDIATE")  # as after a COMMIT that failed
    assert graphs.put("k", FakeGraph("k")) is False
    assert graphs.put("k", FakeGraph("k"))


def test_recent_lists_without_loading(graphs: GraphCache, folder: Path) -> None:
    before = time.time()
    for i in range(5):
        graphs.put(f"k{i}", FakeGraph(f"name {i}", MB if i % 2 else 300))
    for file in folder.rglob("*.val"):
        file.write_bytes(b"")  # a list that loads would notice
    entries = graphs.recent(3)
    assert [(entry.key, entry.meta, entry.size) for entry in entries] == [
        ("k4", {"name": "name 4"}, 300),
        ("k3", {"name": "name 3"}, MB),
        ("k2", {"name": "name 2"}, 300),
    ]
    assert before <= entries[0].stored <= time.time()


def test_recent_skips_what_was_not_stored_by_us(graphs: GraphCache) -> None:
    graphs.put("k", FakeGraph("k"))
    graphs._cache.set("x", b"x", tag="{")
    graphs._cache.set("y", b"y", tag="[1]")
    graphs._cache.set("z", b"z")
    assert [entry.key for entry in graphs.recent(9)] == ["k"]


def test_delete_and_clear(graphs: GraphCache, folder: Path) -> None:
    for name in "abc":
        graphs.put(name, FakeGraph(name, MB))
    assert (graphs.delete("a"), graphs.delete("a")) == (True, False)
    assert len(graphs) == 2
    assert graphs.clear() == 2
    assert len(graphs) == 0
    assert graphs.recent(9) == []
    assert not list(folder.rglob("*.val"))
    assert graphs.volume() < MB


def test_old_orphans_are_swept_and_young_ones_are_not(graphs: GraphCache, folder: Path) -> None:
    graphs.put("k", FakeGraph("k", MB))
    kept = list(folder.rglob("*.val"))
    old = folder / "ab" / "cd" / ("0" * 28 + ".val")
    young = old.with_name("1" * 28 + ".val")
    old.parent.mkdir(parents=True)
    for path in (old, young):
        path.write_bytes(b"x")
    for path in (old, *kept):
        os.utime(path, (1, 1))
    GraphCache(folder, 10 * MB)
    assert not old.exists()
    assert young.exists()
    assert all(path.exists() for path in kept)


def test_many_threads(graphs: GraphCache) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        for i in range(10):
            name = f"{number}-{i}"
            if not graphs.put(name, FakeGraph(name, 50_000)):
                failures.append(name)
            found = graphs.get(name)
            if found is None or found.meta != {"name": name}:
                failures.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(graphs) == 80


WRITER = """
import sys
from pathlib import Path
from types import ModuleType
tracer = ModuleType("tracer")  # the engine takes seconds to import, and only its graphs matter here
tracer.ENGINE_VERSION, tracer.TracerError, tracer.Difference = "1", ValueError, tuple
sys.modules["tracer"] = tracer
from tests.cache.fake_graph import FakeGraph
tracer.Graph = FakeGraph
from cache import GraphCache
graphs = GraphCache(Path(sys.argv[1]), 10_000_000)
for i in range(40):
    name = f"{sys.argv[2]}-{i}"
    assert graphs.put(name, FakeGraph(name, 500_000)), name
    shared = graphs.get("shared")
    assert shared is None or shared.meta == {"name": "shared"}
    graphs.put("shared", FakeGraph("shared", 500_000))
"""


def test_two_processes_write(folder: Path) -> None:
    """Also opens one fresh folder in both at once."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, folder, name], env=environment, stderr=subprocess.PIPE)
        for name in "ab"
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors.decode()
    graphs = GraphCache(folder, 10 * MB)
    assert graphs.volume() <= 10 * MB
    assert all(graphs.get(entry.key) is not None for entry in graphs.recent(99))
    connection = sqlite3.connect(folder / "cache.db")
    ((rows,),) = connection.execute("SELECT COUNT(*) FROM Cache WHERE filename IS NOT NULL")
    connection.close()
    assert rows == len(list(folder.rglob("*.val"))) == len(graphs)


def test_whose_use_a_graph_is(graphs: GraphCache) -> None:
    """Small ones lie in the table, large ones in files."""
    small, large = FakeGraph("small"), FakeGraph("large", MB)
    for key, graph, owner in (("a", small, "ada"), ("b", large, "ada"), ("c", large, "ben"), ("d", large, None)):
        assert graphs.put(key, graph, owner)
    assert graphs.used() == {"ada": 100 + MB, "ben": MB}
    assert [entry.key for entry in graphs.largest(["ada"], 9)] == ["b", "a"]
    assert [entry.key for entry in graphs.largest(["ben", "ada"], 2)] == ["b", "c"]
    assert graphs.largest(["d"], 9) == [] and graphs.largest([], 9) == []
    graphs.delete("b")
    graphs._cache.set("e", b"", tag="{spoiled")
    graphs._cache.set("f", b"", tag='["owner"]')
    assert graphs.used() == {"ada": 100, "ben": MB}
    graphs.put("a", small)
    assert graphs.used() == {"ben": MB}, "as it was kept last"


def test_one_that_is_put_while_somebody_looks_for_it_stays(graphs: GraphCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for a row without a file, and deleted."""
    looks, puts = diskcache.Cache.get, [lambda: graphs.put("key", FakeGraph(1))]

    def get(cache: diskcache.Cache, *words: object, **more: object) -> object:
        found = looks(cache, *words, **more)
        if puts:
            puts.pop()()
        return found

    monkeypatch.setattr(diskcache.Cache, "get", get)
    graphs.get("key")
    assert "key" in graphs and graphs.get("key") is not None

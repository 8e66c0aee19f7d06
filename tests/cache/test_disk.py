"""A folder that somebody else could write to: nothing in it runs, and nothing outside it is read or removed."""

import logging
import os
import pickle
import sqlite3
from pathlib import Path

import diskcache
import pytest

from cache import GraphCache
from cache.disk import PlainDisk, Spoiled, vet
from tests.cache.fake_graph import FakeGraph


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def plain(folder: Path) -> diskcache.Cache:
    return diskcache.Cache(str(folder), disk=PlainDisk)


def change(folder: Path, query: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "cache.db")
    with connection:
        connection.execute(query, values)
    connection.close()


def test_the_bomb_goes_off_under_the_default_disk(folder: Path, tmp_path: Path) -> None:
    """Shows that the tests below can fail."""
    victim = diskcache.Cache(str(folder))
    victim.set("k", Bomb(tmp_path / "boom"))
    victim.get("k")
    assert (tmp_path / "boom").exists()


@pytest.mark.parametrize("padding", [0, 100_000], ids=["in the table", "in a file"])
def test_a_planted_pickle_does_not_run(folder: Path, tmp_path: Path, padding: int, caplog: pytest.LogCaptureFixture):
    graphs = GraphCache(folder, 10**7)
    with diskcache.Cache(str(folder)) as attacker:
        attacker.set("k", (Bomb(tmp_path / "boom"), b"x" * padding))
    assert graphs.get("k") is None
    assert not (tmp_path / "boom").exists()
    assert "spoiled" in caplog.text
    assert "k" not in graphs


def test_a_planted_pickle_as_key_does_not_run(folder: Path, tmp_path: Path) -> None:
    graphs = GraphCache(folder, 10**7)
    graphs.put("good", FakeGraph("good"))
    change(folder, "INSERT INTO Cache(key, raw, store_time, mode, value, tag) VALUES (?, 0, 1, 1, 'x', '{}')",
           pickle.dumps(Bomb(tmp_path / "boom")))  # fmt: skip
    assert [entry.key for entry in graphs.recent(9)] == ["good"]
    with pytest.raises(Spoiled):
        list(graphs._cache)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, True, 2**63, object()], ids=lambda v: type(v).__name__)
def test_only_plain_values_are_stored(plain: diskcache.Cache, value: object) -> None:
    with pytest.raises(TypeError):
        plain.set("k", value)
    assert "k" not in plain


@pytest.mark.parametrize("value", [b"x", b"x" * 99_999, "é", "é" * 99_999, -(2**63), 0.5], ids=lambda v: repr(v)[:9])
def test_plain_values_come_back(plain: diskcache.Cache, value: object) -> None:
    plain.set("k", value)
    assert plain.get("k") == value


@pytest.mark.parametrize("key", [1, 1.5, b"k", ("k",), None], ids=repr)
def test_only_text_keys(plain: diskcache.Cache, key: object) -> None:
    with pytest.raises(TypeError):
        plain.set(key, b"x")
    with pytest.raises(TypeError):
        plain.get(key)


def test_a_file_object_is_refused(plain: diskcache.Cache) -> None:
    with pytest.raises(TypeError), open(__file__, "rb") as file:
        plain.set("k", file, read=True)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_row_that_names_a_file_outside_neither_reads_nor_removes_it(folder: Path, tmp_path: Path, absolute: bool):
    graphs = GraphCache(folder, 10**7)
    graphs.put("k", FakeGraph("k", 50_000))
    precious = tmp_path / "precious"
    precious.write_bytes(FakeGraph("stolen").to_bytes())
    change(folder, "UPDATE Cache SET filename = ?", str(precious) if absolute else "../precious")
    with pytest.raises(Spoiled):
        graphs._cache.get("k")
    assert graphs.get("k") is None
    assert "k" not in graphs
    assert precious.exists()


def test_a_link_out_of_the_folder_is_not_followed(plain: diskcache.Cache, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    plain.set("k", b"x" * 50_000)
    (file,) = folder.rglob("*.val")
    file.unlink()
    file.symlink_to(tmp_path / "secret")
    with pytest.raises(Spoiled):
        plain.get("k")


@pytest.mark.parametrize(
    "change_it",
    [
        "INSERT INTO Settings VALUES ('_directory', '/tmp')",
        "INSERT INTO Settings VALUES ('get', 1)",
        "INSERT INTO Settings VALUES ('disk_evil', 1)",
        "INSERT INTO Settings VALUES ('sqlite_temp_store_directory', '\"/tmp\"')",
        "UPDATE Settings SET value = 'off' WHERE key = 'sqlite_journal_mode'",
        "UPDATE Settings SET value = 'many' WHERE key = 'size'",
        "CREATE TRIGGER evil AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END",
        "CREATE TABLE other (x)",
    ],
)
def test_a_changed_database_is_not_obeyed(folder: Path, change_it: str, caplog: pytest.LogCaptureFixture) -> None:
    GraphCache(folder, 10**7).put("k", FakeGraph("k"))
    vet(folder)  # as diskcache made it: nothing to say
    change(folder, change_it)
    with pytest.raises(Spoiled):
        vet(folder)
    with caplog.at_level(logging.WARNING):
        graphs = GraphCache(folder, 10**7)
    assert len(graphs) == 0
    assert "starts empty" in caplog.text
    assert graphs.put("k", FakeGraph("k"))
    assert graphs.get("k") is not None


def test_a_torn_write_leaves_no_file(plain: diskcache.Cache, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: object, path: str, *rest: object) -> int:
        Path(path).parent.mkdir(parents=True)
        Path(path).write_bytes(b"torn")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(diskcache.Disk, "_write", full_disk)
    with pytest.raises(OSError, match="No space"):
        plain.set("k", b"x" * 50_000)
    assert not list(folder.rglob("*.val"))

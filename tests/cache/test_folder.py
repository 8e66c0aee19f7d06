"""A folder that somebody deletes while it is in use is made again, for all threads."""

import shutil
import threading
from pathlib import Path

from cache.folder import CacheFolder


def test_a_deleted_folder_is_made_again(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path / "a" / "graphs", 1_000_000)
    folder.cache.set("old", b"1" * 40_000)
    shutil.rmtree(tmp_path / "a")
    assert folder.cache.get("old") is None
    folder.cache.set("new", b"2" * 40_000)
    found: list[object] = []
    other = threading.Thread(target=lambda: found.append(folder.cache.get("new")))
    other.start()
    other.join()
    assert found == [b"2" * 40_000]
    assert CacheFolder(folder.path, 1_000_000).cache.get("new") == b"2" * 40_000  # not in a file that nobody finds
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_what_is_there_stays_open(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path, 1_000_000)
    assert folder.cache is folder.cache

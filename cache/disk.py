"""How values lie in a diskcache folder: bytes and text as they are, and never a pickle.

diskcache pickles what it does not know and unpickles what a row says is a pickle, so whoever can write to the folder
could run code in this process (CVE-2025-69872; no fixed release). `PlainDisk` refuses both ways, and `vet` looks over a
folder's database before diskcache opens it, since the database also holds settings that become attributes and SQL.
Knows nothing of graphs.
"""

import logging
import os
import re
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import DBNAME, DEFAULT_SETTINGS, METADATA, MODE_BINARY, MODE_RAW, MODE_TEXT, UNKNOWN

log = logging.getLogger(__name__)

# What Disk.filename makes. A row can name any path: reading it leaks, and dropping it deletes, someone's file.
_OWN_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
_TABLES_OF_DISKCACHE = {"Settings", "Cache"}


class CacheError(Exception):
    """The cache cannot be opened. The message is one line that says what to change."""


class Spoiled(ValueError):
    """An entry that this cache did not write, or not so. It is never interpreted."""


class PlainDisk(diskcache.Disk):
    """Keys are text; values are bytes, str, int or float."""

    def __init__(self, directory: str, **settings: Any) -> None:
        super().__init__(directory, **settings)
        self._last = threading.local()  # .file: what this thread's latest store wrote

    def put(self, key: Any) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError(f"a cache key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        if not raw or type(key) is not str:
            raise Spoiled("a key in the cache is not text")
        return key

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> tuple[int, int, str | None, Any]:
        if read or type(value) not in (bytes, str, int, float):
            raise TypeError(f"the cache keeps bytes, str, int and float, not {type(value).__name__}")
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise TypeError("the cache keeps no integers beyond 64 bits")  # diskcache would pickle them
        self._last.file = None
        row: tuple[int, int, str | None, Any] = super().store(value, read, key=key)
        self._last.file = row[2]
        return row

    def undo_store(self) -> None:
        """Remove the file that this thread stored last: its row could not be written, and diskcache leaves the file."""
        if getattr(self._last, "file", None):
            self.remove(self._last.file)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode not in (MODE_RAW, MODE_BINARY, MODE_TEXT):
            raise Spoiled("an entry of the cache is not plain bytes or text")
        if mode == MODE_RAW:
            return super().fetch(mode, filename, value, read)
        path = Path(self._directory, self._own(filename))
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise Spoiled("an entry of the cache is not a plain file")
        try:
            return super().fetch(mode, filename, value, read)
        except UnicodeDecodeError as error:
            raise Spoiled("a text in the cache is not UTF-8") from error

    def remove(self, file_path: str) -> None:
        with suppress(Spoiled):  # the row goes, a file that is not ours stays
            super().remove(self._own(file_path))

    def _write(self, full_path: str, iterator: Any, mode: str, encoding: str | None = None) -> int:
        try:
            written: int = super()._write(full_path, iterator, mode, encoding)
        except BaseException:  # a full disk: diskcache would leave the torn file behind, where nothing counts it
            with suppress(OSError):
                os.remove(full_path)
            raise
        return written

    @staticmethod
    def _own(filename: object) -> str:
        if not isinstance(filename, str) or not _OWN_FILE.fullmatch(filename.replace(os.sep, "/")):
            raise Spoiled("an entry of the cache names a file outside of it")
        return filename


def vet(folder: Path) -> None:
    """Raise `Spoiled` if the folder's database holds anything that diskcache would obey but did not write.

    diskcache makes each row of Settings an attribute of its objects or a PRAGMA, and SQLite runs any trigger it finds.
    """
    database = folder / DBNAME
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        schema = connection.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
        for kind, name, table in schema:
            known = table in _TABLES_OF_DISKCACHE and (kind != "table" or name in _TABLES_OF_DISKCACHE)
            ours = kind in ("table", "index") or (kind == "trigger" and name.startswith("Settings_"))
            if not (known and ours):
                raise Spoiled(f"the cache's database has a foreign {kind}, {name}")
        if not any(name == "Settings" for _, name, _ in schema):
            return  # another process is making it just now
        for key, value in connection.execute("SELECT key, value FROM Settings"):
            if key not in DEFAULT_SETTINGS and key not in METADATA:
                raise Spoiled("the cache's database has a foreign setting")
            changed = key.startswith("sqlite_") and value != DEFAULT_SETTINGS[key]
            if changed or (key in METADATA and not isinstance(value, int)):
                raise Spoiled(f"the cache's database has a changed setting, {key}")


def open_vetted(folder: Path, size_limit: int) -> diskcache.Cache:
    """Least recently used go first. A database that does not pass `vet`, or is damaged, is dropped: it starts empty.

    Raises OSError or sqlite3.OperationalError where the folder can't be used.
    """
    try:
        return _opened(folder, size_limit)
    except (Spoiled, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, read-only: not the contents' fault
            raise
        log.warning("the cache %s was spoiled and starts empty: %s", folder, error)
        for suffix in ("", "-wal", "-shm"):
            Path(folder, DBNAME + suffix).unlink(missing_ok=True)
        return _opened(folder, size_limit)


def _opened(folder: Path, size_limit: int) -> diskcache.Cache:
    vet(folder)
    return diskcache.Cache(
        str(folder),
        timeout=10,
        disk=PlainDisk,
        eviction_policy="least-recently-used",
        size_limit=size_limit,
        cull_limit=1,  # the default of 10 empties a cache of large values
    )


def unusable(folder: Path, error: Exception) -> CacheError:
    return CacheError(
        f"the cache folder {folder} cannot be used ({reason(error)}): set HYPOGRAPH_HOME, "
        "or HYPOGRAPH_CACHE for the cache alone, to a folder of yours that can be written to"
    )


def reason(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0]

"""Attribution graphs on disk, found by what they were computed from.

A graph can always be made again, so nothing here is worth an error to the person: what cannot be read is a miss, what
cannot be written is a warning in the log. Knows the engine's `Graph` as bytes and its JSON `meta`, and whose use of the
disk it counts as where that is said; does not know who that is, or why they asked.

Each graph is one row of diskcache (and, from 32 kB on, one file). Its meta and checksum are the row's tag, so they are
listed without loading the graph, and one is never evicted without the other.
"""

import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diskcache

import tracer
from cache.disk import CacheError, Spoiled, reason, unusable
from cache.folder import CacheFolder

if TYPE_CHECKING:
    from tracer.graph.peek import FeatureNodes

log = logging.getLogger(__name__)

_RESERVE = 128 * 1024  # bytes of the limit that SQLite's own pages may take
_ORPHAN_AGE = 3600.0  # seconds; a younger file may be one that another process is about to enter in the table
_FAILURES = (OSError, sqlite3.Error, diskcache.Timeout)  # full, read-only, locked, damaged
_SIZE = "MAX(size, COALESCE(LENGTH(value), 0))"  # a small graph lies in the row
_OWNER = "CASE WHEN json_valid(tag) THEN json_extract(tag, '$.owner') END"
_OWNED = f"raw = 1 AND TYPEOF(key) = 'text' AND {_OWNER} IS NOT NULL"


@dataclass(frozen=True)
class Entry:
    """A cached graph as a list shows it."""

    key: str
    meta: dict[str, Any]
    stored: float  # Unix time
    size: int  # bytes


def graph_key(
    *,
    model_fingerprint: str,
    basis_fingerprint: str,
    token_ids: Sequence[int],
    targets: Sequence[int] | tracer.Difference | None,
    position: int | None,
    max_logits: int,
    logit_mass: float,
    max_nodes: int | str | None,
    engine_version: str = tracer.ENGINE_VERSION,
) -> str:
    """SHA-256 (hex) of all that a graph depends on, as canonical JSON."""
    if isinstance(targets, tracer.Difference):
        wanted: Any = {"difference": [int(targets.a), int(targets.b)]}
    else:
        wanted = None if targets is None else [int(token) for token in targets]
    ingredients = {
        "model": model_fingerprint,
        "basis": basis_fingerprint,
        "tokens": [int(token) for token in token_ids],
        "targets": wanted,
        "position": None if position is None else int(position),
        "max_logits": int(max_logits),
        "logit_mass": float(logit_mass),
        "max_nodes": max_nodes if max_nodes is None or isinstance(max_nodes, str) else int(max_nodes),
        "engine": engine_version,
    }
    canonical = json.dumps(ingredients, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class GraphCache:
    """Graphs in one folder, the least recently used evicted first. Safe for several threads and processes."""

    def __init__(self, folder: Path, size_limit_bytes: int) -> None:
        self.folder = folder
        self.size_limit = size_limit_bytes
        try:
            self._opened = CacheFolder(folder, size_limit_bytes)
            self._make_room(0)  # the limit may have been lowered since the last start
            self._sweep_orphans()
        except _FAILURES as error:
            raise unusable(folder, error) from error

    @property
    def _cache(self) -> diskcache.Cache:
        return self._opened.cache

    def get(self, key: str) -> tracer.Graph | None:
        """The graph, now the most recently used; None when it is not there or cannot be trusted."""
        try:
            data, tag = self._cache.get(key, tag=True)
            if data is None and key in self._cache:  # put meanwhile, or a row whose file is gone
                data, tag = self._cache.get(key, tag=True)
                if data is None:
                    self._cache.delete(key)
            if data is None:
                return None
            if type(data) is not bytes or _parse(tag).get("sha256") != hashlib.sha256(data).hexdigest():
                raise Spoiled("its checksum is wrong")
            return tracer.Graph.from_bytes(data)
        except (Spoiled, tracer.TracerError) as error:
            log.warning("dropped a spoiled graph from the cache, it will be computed again: %s (%s)", key[:12], error)
            self.delete(key)
        except _FAILURES as error:
            self._warn("could not be read, the graph will be computed again", error)
        return None

    def put(self, key: str, graph: tracer.Graph, owner: str | None = None) -> bool:
        """Keep a graph. False (and a warning in the log) if it is not there afterwards; never raises for a bad disk.

        `owner`: whose use of the disk it counts as, see `used`.
        """
        data = graph.to_bytes()
        counted = {} if owner is None else {"owner": owner}
        tag = json.dumps({"sha256": hashlib.sha256(data).hexdigest(), "meta": graph.meta} | counted)
        # Checked first: diskcache would evict other graphs for it, say True, and drop it at the next put.
        if len(data) + len(tag) + _RESERVE > self.size_limit:
            log.warning(
                "a graph of %.1f MB does not fit into the cache of %.1f MB and is not kept: raise HYPOGRAPH_CACHE_GB",
                len(data) / 1e6,
                self.size_limit / 1e6,
            )
            return False
        try:
            self._make_room(len(data) + len(tag))
            try:
                self._cache.set(key, data, tag=tag)
            except _FAILURES:
                self._cache.disk.undo_store()
                raise
            kept = key in self._cache
        except _FAILURES as error:
            self._warn("could not keep a graph", error)
            return False
        if not kept:
            log.warning("a graph was evicted from the cache %s while it was written", self.folder)
        return kept

    def recent(self, n: int) -> list[Entry]:
        """The n graphs stored last, newest first, without loading them."""
        try:
            rows = self._rows(
                f"SELECT key, tag, store_time, {_SIZE} FROM Cache "  # nosec B608  # of constants alone
                "WHERE raw = 1 AND TYPEOF(key) = 'text' ORDER BY store_time DESC, rowid DESC LIMIT ?",
                n,
            )
        except _FAILURES as error:
            self._warn("could not be listed", error)
            return []
        parsed = [(key, _parse(tag).get("meta"), stored, size) for key, tag, stored, size in rows]
        return [Entry(key, meta, stored, size) for key, meta, stored, size in parsed if isinstance(meta, dict)]

    def used(self) -> dict[str, int]:
        """Bytes of the graphs of each owner; those without one count for nobody."""
        try:
            asked = f"SELECT {_OWNER}, SUM({_SIZE}) FROM Cache WHERE {_OWNED} GROUP BY 1 LIMIT ?"  # nosec B608  # of constants alone
            rows = self._rows(asked, -1)
        except _FAILURES as error:
            self._warn("could not be counted", error)
            return {}
        return {str(owner): int(size) for owner, size in rows}

    def largest(self, owners: Collection[str], n: int) -> list[Entry]:
        """The n largest graphs of these owners together, the largest first."""
        try:
            asked = f"SELECT key, tag, store_time, {_SIZE} FROM Cache WHERE {_OWNED} ORDER BY 4 DESC LIMIT ?"  # nosec B608  # of constants alone
            rows = self._rows(asked, -1)
        except _FAILURES as error:
            self._warn("could not be listed", error)
            return []
        parsed = ((key, _parse(tag), stored, size) for key, tag, stored, size in rows)
        own = ((key, tag.get("meta"), stored, size) for key, tag, stored, size in parsed if tag.get("owner") in owners)
        return list(islice((Entry(key, meta, at, size) for key, meta, at, size in own if isinstance(meta, dict)), n))

    def feature_nodes(self, key: str) -> "FeatureNodes | None":
        """The feature nodes of a graph without its matrix; it does not become more recently used. None as in `get`."""
        try:
            rows = self._cache._sql(
                "SELECT mode, filename, value FROM Cache WHERE raw = 1 AND key = ?", (key,)
            ).fetchall()
            if not rows:
                return None
            saved = self._cache.disk.fetch(*rows[0], read=True)
            if isinstance(saved, bytes):  # a small one
                return tracer.feature_nodes(saved)
            with saved:
                return tracer.feature_nodes(Path(saved.name))
        except (Spoiled, tracer.TracerError):
            return None  # `get` says so and drops it
        except _FAILURES as error:
            self._warn("could not be searched", error)
            return None

    def delete(self, key: str) -> bool:
        """Forget one graph. False if it was not there or could not be removed."""
        try:
            return bool(self._cache.delete(key))
        except _FAILURES as error:
            self._warn("could not remove a graph", error)
            return False

    def clear(self) -> int:
        """Forget all graphs; how many there were. A bad disk raises CacheError: the person asked for this."""
        try:
            return int(self._cache.clear())
        except _FAILURES as error:
            self._cache.close()
            raise CacheError(f"the cache folder {self.folder} could not be cleared: {reason(error)}") from error

    def volume(self) -> int:
        """Bytes on disk: the graphs and their table."""
        return int(self._cache.volume())

    def __len__(self) -> int:
        return len(self._cache)

    def __contains__(self, key: str) -> bool:
        try:
            return key in self._cache
        except _FAILURES as error:
            self._warn("could not be read", error)
            return False

    def _make_room(self, incoming: int) -> None:
        """Evict until `incoming` bytes fit.

        diskcache's own culling takes one row a put: too little when a large graph follows small ones or the limit was
        lowered, and it can take the row just written, when the clock was set back.
        """
        while len(self._cache) and self.volume() + incoming + _RESERVE > self.size_limit:
            oldest = self._rows(
                "SELECT key FROM Cache WHERE raw = 1 AND TYPEOF(key) = 'text' ORDER BY access_time, rowid LIMIT ?", 1
            )
            if not oldest or not self._cache.delete(oldest[0][0]):
                break  # another process was faster, or the rows are not ours

    def _sweep_orphans(self) -> None:
        """Remove files that no row names: a process was killed between writing its file and its row."""
        listed = {name for (name,) in self._rows("SELECT filename FROM Cache WHERE filename IS NOT NULL LIMIT ?", -1)}
        for path in self.folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*.val"):
            name = os.path.relpath(path, self.folder)
            if name not in listed and path.lstat().st_mtime < time.time() - _ORPHAN_AGE:
                self._cache.disk.remove(name)

    def _warn(self, what: str, error: Exception) -> None:
        log.warning("the cache %s %s: %s", self.folder, what, reason(error))
        # A COMMIT that failed leaves this thread inside its transaction, where every later write would fail too.
        self._cache.close()

    def _rows(self, query: str, limit: int) -> list[tuple[Any, ...]]:
        # diskcache has no public call that lists rows without reading their values; its connection is a thread's own.
        rows: list[tuple[Any, ...]] = self._cache._sql(query, (limit,)).fetchall()
        return rows


def _parse(tag: object) -> dict[str, Any]:
    try:
        parsed = json.loads(tag) if isinstance(tag, str) else None
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

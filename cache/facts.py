"""What is known of single features, as JSON texts on disk: small, many, and made or fetched again when they are lost.

Least recently used go first. Knows neither what a text says nor whose feature it is about.
"""

import hashlib
import json
import logging
import sqlite3
from pathlib import Path

import diskcache

from cache.disk import PlainDisk, Spoiled, reason, unusable
from cache.folder import CacheFolder

log = logging.getLogger(__name__)

_FAILURES = (OSError, sqlite3.Error, diskcache.Timeout, Spoiled)


class FactCache:
    """In one folder. Safe for several threads and processes; a disk that fails is a miss, and a warning in the log."""

    def __init__(self, folder: Path, size_limit_bytes: int) -> None:
        """Raises CacheError where the folder can't be used."""
        self._folder = folder
        try:
            self._opened = CacheFolder(folder, size_limit_bytes)
        except _FAILURES as error:
            raise unusable(folder, error) from error

    @property
    def _cache(self) -> diskcache.Cache:
        return self._opened.cache

    def get(self, key: str) -> str | None:
        try:
            found = self._cache.get(key)
        except _FAILURES as error:
            self._warn("read", error)
            return None
        return found if isinstance(found, str) else None

    def put(self, key: str, text: str) -> bool:
        """False if it is not kept."""
        try:
            try:
                return bool(self._cache.set(key, text))
            except _FAILURES:
                disk = self._cache.disk
                assert isinstance(disk, PlainDisk)
                disk.undo_store()
                raise
        except _FAILURES as error:
            self._warn("written", error)
            return False

    def delete(self, key: str) -> None:
        try:
            self._cache.delete(key)
        except _FAILURES as error:
            self._warn("written", error)

    def _warn(self, what: str, error: Exception) -> None:
        log.warning("%s could not be %s: %s", self._folder, what, reason(error))
        self._cache.close()  # a COMMIT that failed leaves this thread inside its transaction


def fact_key(*ingredients: str | int) -> str:
    """SHA-256 (hex) of all that a fact depends on."""
    canonical = json.dumps(ingredients, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()

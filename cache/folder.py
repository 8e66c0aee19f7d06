"""A folder of diskcache: made where there is none, and made again where somebody deletes it while it is in use.

What was deleted stays open in SQLite's hands: writes would go nowhere, and another thread would find no table.
"""

import threading
from pathlib import Path

import diskcache
from diskcache.core import DBNAME

from cache.disk import open_vetted


class CacheFolder:
    def __init__(self, path: Path, size_limit_bytes: int) -> None:
        """Raises OSError or sqlite3.OperationalError where the folder can't be used."""
        self.path = path
        self._size_limit = size_limit_bytes
        self._opening = threading.Lock()
        self._cache = self._open()

    @property
    def cache(self) -> diskcache.Cache:
        """Raises OSError or sqlite3.OperationalError where it is gone and can't be made again."""
        if not (self.path / DBNAME).exists():
            with self._opening:
                if not (self.path / DBNAME).exists():
                    self._cache = self._open()
        return self._cache

    def _open(self) -> diskcache.Cache:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        return open_vetted(self.path, self._size_limit)

"""A few graphs in memory in front of the cache on disk, so that a page's reruns do not read a file each.

Also keeps a graph that the disk would not take, as long as it is among the latest; and finds one that an open page has
still, so that twenty people who read one graph hold it once. Knows graphs by key only.
"""

import threading
from collections import OrderedDict
from weakref import WeakValueDictionary

import tracer
from cache import GraphCache

_IN_MEMORY = 4  # graphs; each may take some tens of MB


class Shelf:
    def __init__(self, cache: GraphCache) -> None:
        self._cache = cache
        self._lock = threading.RLock()
        self._latest: OrderedDict[str, tuple[tracer.Graph, bool]] = OrderedDict()  # key → graph, is it on disk too
        self._in_use: WeakValueDictionary[str, tracer.Graph] = WeakValueDictionary()  # of those that are on disk too

    def get(self, key: str) -> tracer.Graph | None:
        graph = self.in_memory(key)
        if graph is None:
            graph = self._cache.get(key)
            if graph is not None:
                graph = self._keep(key, graph, on_disk=True)
        return graph

    def in_memory(self, key: str) -> tracer.Graph | None:
        with self._lock:
            graph, on_disk = self._latest.get(key) or (self._in_use.get(key), True)
            if graph is not None and on_disk and key not in self._cache:  # deleted, perhaps by another process
                self._drop(key)
                return None
            return None if graph is None else self._keep(key, graph, on_disk)

    def put(self, key: str, graph: tracer.Graph, owner: str | None = None) -> bool:
        """False if the graph is in memory only. `owner`: as `GraphCache.put` takes it."""
        on_disk = self._cache.put(key, graph, owner)
        self._keep(key, graph, on_disk)
        return on_disk

    def lend(self, key: str, graph: tracer.Graph) -> None:
        """One that is kept elsewhere: in memory only, for as long as it is among the latest."""
        self._keep(key, graph, on_disk=False)

    def forget(self, key: str) -> None:
        """In memory and on disk."""
        with self._lock:
            self._drop(key)
        self._cache.delete(key)

    def _drop(self, key: str) -> None:
        self._latest.pop(key, None)
        self._in_use.pop(key, None)

    def _keep(self, key: str, graph: tracer.Graph, on_disk: bool) -> tracer.Graph:
        """What is kept: where two read the same file at once, the first one's."""
        with self._lock:
            if on_disk:
                graph = self._in_use.setdefault(key, graph)
            self._latest[key] = (graph, on_disk)
            self._latest.move_to_end(key)
            while len(self._latest) > _IN_MEMORY:
                self._latest.popitem(last=False)
            return graph

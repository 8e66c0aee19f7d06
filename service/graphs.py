"""The graphs that are kept, and who may change which. Service inherits it and supplies the rest."""

import re

import tracer
from lab import Person, Role
from service.access import check_role
from service.batches.folder import read
from service.quota import Quota
from service.shelf import Shelf

_KEY = re.compile("[0-9a-f]{64}")


class Graphs(Quota):
    _shelf: Shelf

    def clear_cache(self, by: Person) -> int:
        """Forget all graphs; how many there were. Raises Refused for anybody but an admin, CacheError."""
        check_role(by, Role.ADMIN)
        return self.cache.clear()

    def graph(self, key: str) -> tracer.Graph | None:
        """The graph of a job that is done, or of a batch folder under HOME; needs no model."""
        return self._shelf.get(key) or self._of_a_batch(key)

    def keep_graph(self, key: str, graph: tracer.Graph, by: Person, *, again: bool = False) -> bool:
        """A graph that no job made (imported); or `again` one that was forgotten, which asks for no room of the quota.

        False if it is in memory only. Raises Refused.
        """
        check_role(by, Role.EDITOR)
        if not again:
            self._check_quota(by)
        return self._shelf.put(key, graph, self._owner(by.id))

    def forget_graph(self, key: str, by: Person) -> tracer.Graph | None:
        """Remove a graph; what is given back can be kept again. None if it was not there. Raises Refused."""
        check_role(by, Role.EDITOR)
        graph = self._shelf.get(key)
        self._shelf.forget(key)
        return graph

    def _of_a_batch(self, key: str) -> tracer.Graph | None:
        for path in self.settings.home.glob(f"batches/*/results/{key}.safetensors") if _KEY.fullmatch(key) else ():
            try:
                graph = read(path.parents[1]).graph(key)
            except tracer.TracerError:
                continue  # the page of that batch says so
            self._shelf.lend(key, graph)
            return graph
        return None

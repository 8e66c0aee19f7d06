"""How much of this server's disk is whose, and who may not take more. Service inherits it and supplies the rest.

With HYPOGRAPH_QUOTA_MB set each graph counts for who asked for it first or imported it, as it is kept once however many
look at it; so does what they wrote (`lab.sizes`). Without it nobody is counted, and it is not kept who asked.
"""

from dataclasses import dataclass

from cache import GraphCache
from cache.graphs import Entry
from lab import Lab, LabError, Person, Role
from service.access import check_role
from service.jobs import Refused
from service.settings import Settings


@dataclass(frozen=True)
class Use:
    """Of the disk by one person, in bytes."""

    graphs: int
    texts: int

    @property
    def total(self) -> int:
        return self.graphs + self.texts


class Quota:
    settings: Settings
    cache: GraphCache
    _lab: Lab | None  # None: nobody writes anything

    def use_of(self, person: Person) -> Use:
        """Raises LabError."""
        used = self.cache.used()
        graphs = sum(used.get(id, 0) for id in self._ids(person))
        return Use(graphs, 0 if self._lab is None else self._lab.size_of(person))

    def largest_of(self, person: Person, n: int = 10) -> list[Entry]:
        """Their largest graphs. Raises LabError."""
        return self.cache.largest(self._ids(person), n)

    def uses(self, admin: Person) -> dict[str, Use]:
        """By person's id, of those who have anything. Raises Refused for anybody but an admin, LabError."""
        check_role(admin, Role.ADMIN)
        texts = {} if self._lab is None else self._lab.sizes(admin)
        merged = {} if self._lab is None else self._lab.merged()
        graphs: dict[str, int] = {}
        for id, size in self.cache.used().items():
            id = merged.get(id, id)
            graphs[id] = graphs.get(id, 0) + size
        return {id: Use(graphs.get(id, 0), texts.get(id, 0)) for id in {*graphs, *texts}}

    def _check_quota(self, person: Person) -> None:
        """Raises Refused where this person has used up their share: what waits by then still comes."""
        limit = self.settings.quota_mb
        if limit is None:
            return
        try:
            use = self.use_of(person)
        except LabError as problem:
            raise Refused(str(problem)) from problem
        if use.total >= limit * 1_000_000:
            raise Refused(
                f"you use {use.total / 1e6:,.1f} MB of the {limit:,} MB that each person has here (HYPOGRAPH_QUOTA_MB;"
                f" graphs {use.graphs / 1e6:,.1f} MB, records {use.texts / 1e6:,.1f} MB): delete graphs or records of"
                " yours in the Library, the Privacy page lists the largest"
            )

    def _owner(self, person: str) -> str | None:
        """What a graph is marked with that this person (an id) asked for."""
        return None if self.settings.quota_mb is None else person

    def _ids(self, person: Person) -> list[str]:
        return [person.id] if self._lab is None else self._lab.ids_of(person)

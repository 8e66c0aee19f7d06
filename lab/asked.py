"""What people asked a server for and have no answer to yet: kept so that a crash loses nothing. Lab inherits it.

What a request says is the service's own; here it is text.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from lab.schema import AskedRow
from lab.views import Person


@dataclass(frozen=True)
class CutOff:
    """A request that a server had when it died."""

    id: str  # of the job
    request: str
    created: datetime  # UTC


class Asking(ABC):
    @abstractmethod
    def _session(self) -> AbstractContextManager[Session]: ...

    def keep_asked(self, id: str, person: str, server: str, request: str) -> None:
        """`person`: an id. The same again changes nothing."""
        with self._session() as session:
            if session.get(AskedRow, (id, person)) is None:
                session.add(
                    AskedRow(id=id, person_id=person, server=server, created=datetime.now(UTC), request=request)
                )

    def answered(self, id: str, person: str | None = None) -> None:
        """It is over, or this person waits no longer: nothing is kept of it."""
        with self._session() as session:
            theirs = delete(AskedRow).where(AskedRow.id == id)
            session.execute(theirs if person is None else theirs.where(AskedRow.person_id == person))

    def server_starts(self, server: str) -> None:
        """What it had before was cut off."""
        with self._session() as session:
            open_ones = (AskedRow.server == server) & AskedRow.cut_off.is_(None)
            session.execute(update(AskedRow).where(open_ones).values(cut_off=datetime.now(UTC)))

    def cut_off(self, person: Person) -> list[CutOff]:
        """Of this person, the oldest first."""
        theirs = (AskedRow.person_id == person.id) & AskedRow.cut_off.is_not(None)
        with self._session() as session:
            rows = session.scalars(select(AskedRow).where(theirs).order_by(AskedRow.created))
            return [CutOff(row.id, row.request, row.created) for row in rows]

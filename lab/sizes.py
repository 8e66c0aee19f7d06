"""How much of the database's room is whose. Lab inherits it and supplies the rest.

Counted are the texts of all versions that a person wrote, and the figures of the runs that they own; not those of
records that were deleted: who is asked to make room must be able to.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from sqlalchemy import ColumnElement, LargeBinary, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from lab.people import allowed
from lab.roles import Role
from lab.schema import FiguresRow, PersonRow, RecordRow, RevisionRow
from lab.views import Person


class Sizes(ABC):
    @abstractmethod
    def _session(self) -> AbstractContextManager[Session]: ...

    def size_of(self, person: Person) -> int:
        """Bytes."""
        with self._session() as session:
            return _sizes(session, person.id).get(person.id, 0)

    def sizes(self, admin: Person) -> dict[str, int]:
        """Bytes by person's id. Raises NotAllowed for anybody but an admin."""
        with self._session() as session:
            allowed(session, admin, Role.ADMIN)
            return _sizes(session)

    def ids_of(self, person: Person) -> list[str]:
        """Their own, and those of persons who were merged into them: what was written down before has them."""
        with self._session() as session:
            merged = session.scalars(select(PersonRow.id).where(PersonRow.merged_into == person.id))
            return [person.id, *merged]

    def merged(self) -> dict[str, str]:
        """By id of a person who was merged into another: the other's id."""
        with self._session() as session:
            rows = session.execute(select(PersonRow.id, PersonRow.merged_into))
            return {id: into for id, into in rows if into is not None}


def _sizes(session: Session, person: str | None = None) -> dict[str, int]:
    """Of this person, or of all."""
    texts = select(RevisionRow.author_id, func.sum(_bytes(session, RevisionRow.body)))
    texts = texts.join(RecordRow, RecordRow.id == RevisionRow.record_id).group_by(RevisionRow.author_id)
    figures = select(RecordRow.owner_id, func.sum(_bytes(session, FiguresRow.body)))
    figures = figures.join(RecordRow, RecordRow.id == FiguresRow.run_id).group_by(RecordRow.owner_id)
    if person is not None:
        texts, figures = texts.where(RevisionRow.author_id == person), figures.where(RecordRow.owner_id == person)
    found: dict[str, int] = {}
    for query in (texts, figures):
        for id, size in session.execute(query.where(RecordRow.deleted.is_(None))):
            found[id] = found.get(id, 0) + int(size or 0)
    return found


def _bytes(session: Session, text: InstrumentedAttribute[str | None]) -> ColumnElement[int]:
    """In UTF-8. SQLite's length counts characters of a text, and its octet_length is younger than Debian's SQLite."""
    if session.get_bind().dialect.name == "sqlite":
        return func.length(cast(text, LargeBinary))
    return func.octet_length(text)

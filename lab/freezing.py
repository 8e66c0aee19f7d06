"""Freezing versions of hypotheses, and whether what was frozen still holds. Lab inherits it and supplies the rest."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lab.errors import Conflict, LabError, NotFound
from lab.freeze import Checked, Freeze, HypothesisFile, check_chain, frozen, version_file
from lab.hypothesis import HypothesisBody
from lab.people import allowed
from lab.schema import FreezeRow, PurgeRow, RecordRow, RevisionRow
from lab.views import Person, Revision


class Freezing(ABC):
    @abstractmethod
    def _session(self) -> AbstractContextManager[Session]: ...

    @abstractmethod
    def _row(self, session: Session, id: str, viewer: Person) -> RecordRow: ...

    @abstractmethod
    def _head(self, session: Session, row: RecordRow) -> Revision: ...

    @abstractmethod
    def history(self, id: str, viewer: Person) -> list[Revision]: ...

    def freeze(self, id: str, author: Person, base: int) -> Freeze:
        """Freeze version `base`, the latest, for good: a later save is a new version, a draft, and this its parent.

        One that is frozen already stays as it is. Raises LabError for a hypothesis that isn't whole, Conflict if
        somebody saved in the meantime, NotFound if it is gone.
        """
        try:
            with self._session() as session:
                row = self._hypothesis(session, id, author)
                if row.deleted is not None:
                    raise NotFound("it was deleted in the meantime: restore it, then freeze it")
                head = self._head(session, row)
                if head.number != base:
                    raise Conflict(head)
                before = self._freezes(session, id)
                if before and before[-1].number == base:
                    return read_freeze(before[-1])
                previous = before[-1].hash if before else None
                made = frozen(head.body, id, base, previous, datetime.now(UTC), author.name)
                session.add(
                    FreezeRow(
                        record_id=id,
                        number=base,
                        hash=made.hash,
                        previous=previous or "",
                        author_id=author.id,
                        author=author.name,
                        created=made.time,
                    )
                )
                session.flush()
                allowed(session, author)
                return made
        except IntegrityError as problem:  # between our look and our write
            raise LabError("somebody froze it in the meantime: look at their version first") from problem

    def freezes(self, id: str, viewer: Person) -> list[Freeze]:
        """What was frozen, the first one first. Raises NotFound."""
        with self._session() as session:
            self._hypothesis(session, id, viewer)
            return [read_freeze(row) for row in self._freezes(session, id)]

    def hypothesis_file(self, id: str, number: int, viewer: Person) -> HypothesisFile:
        """A version with its freeze, or with its parent: what leaves the lab, and what a run is made on.

        Raises NotFound if there is no such version.
        """
        freezes = self.freezes(id, viewer)
        body = next((revision.body for revision in self.history(id, viewer) if revision.number == number), None)
        if body is None:
            raise NotFound(f"there is no version {number}")
        return version_file(body, number, freezes)

    def check_freezes(self, id: str, viewer: Person) -> list[Checked]:
        """Of each frozen version, the first one first: does the database still have what was frozen.

        Raises NotFound, and LabError where what is left can't even be read.
        """
        with self._session() as session:
            self._hypothesis(session, id, viewer)
            purged = {*session.scalars(select(PurgeRow.id))}
            versions = []
            for row in self._freezes(session, id):
                where = (RevisionRow.record_id == id) & (RevisionRow.number == row.number)
                found = session.execute(select(RevisionRow.body, RevisionRow.author_id).where(where)).first()
                text, writer = found or (None, None)
                erased = bool(purged & {id, row.author_id, writer}) and (text is None or row.author is None)
                versions.append((read_freeze(row), _body(text), erased))
            return check_chain(versions)

    def _hypothesis(self, session: Session, id: str, viewer: Person) -> RecordRow:
        row = self._row(session, id, viewer)
        if row.kind != "hypothesis":
            raise LabError(f"record {id} is no hypothesis: give the id of one")
        return row

    def _freezes(self, session: Session, id: str) -> list[FreezeRow]:
        try:
            found = session.scalars(select(FreezeRow).where(FreezeRow.record_id == id).order_by(FreezeRow.number))
            return list(found)
        except ValueError as problem:  # a time that is none
            raise LabError(f"what was frozen of record {id} was changed in the database: it does not hold") from problem


def read_freeze(row: FreezeRow) -> Freeze:
    """As it is in the database, even where no such freeze could have been made: that is for the check to see."""
    return Freeze.model_construct(
        record=row.record_id,
        version=row.number,
        previous=row.previous or None,
        time=row.created,
        author=row.author,
        hash=row.hash,
    )


def _body(text: str | None) -> HypothesisBody | None:
    try:
        return HypothesisBody.model_validate_json(text or "")
    except ValidationError:
        return None

"""Who is who in the record, and what each may do. Lab inherits it and supplies the rest."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lab.errors import LabError, NotAllowed, NotFound
from lab.roles import Role
from lab.schema import AskedRow, Base, PersonRow, RecordRow
from lab.views import Person

_PURGED = "purged"
"""The issuer of a person who was erased: nobody logs in as them again."""


@dataclass(frozen=True)
class Known:
    """A person, as those see them who look after the lab."""

    person: Person
    logins: tuple[str, ...]  # "subject at issuer", the person's own first
    created: datetime
    records: int  # that they own, deleted ones too


class People(ABC):
    @abstractmethod
    def _session(self) -> AbstractContextManager[Session]: ...

    def person(self, issuer: str, subject: str, name: str, role: Role = Role.EDITOR, *, always: bool = False) -> Person:
        """The person of a login; the first time they are written down, with this role.

        `always`: they have this role whatever was given to them before. A new name is written down.
        """
        try:
            return self._person(issuer, subject, name, role, always)
        except IntegrityError:  # two tabs came at once
            return self._person(issuer, subject, name, role, always)

    def _person(self, issuer: str, subject: str, name: str, role: Role, always: bool) -> Person:
        is_them = (PersonRow.issuer == issuer) & (PersonRow.subject == subject)
        with self._session() as session:
            row = session.scalar(select(PersonRow).where(is_them))
            if row is None:
                row = PersonRow(
                    id=uuid4().hex, issuer=issuer, subject=subject, name=name, created=datetime.now(UTC), role=role
                )
                session.add(row)
            if row.merged_into is not None:
                row = session.get_one(PersonRow, row.merged_into)
            elif row.name != name:
                row.name = name
            if always and row.role != role:
                row.role = role
            return person_of(row)

    def people(self, admin: Person) -> list[Known]:
        """Everybody who ever logged in and was not erased, by name. Raises NotAllowed for anybody but an admin."""
        with self._session() as session:
            allowed(session, admin, Role.ADMIN)
            owned = dict(session.execute(select(RecordRow.owner_id, func.count()).group_by(RecordRow.owner_id)).all())
            rows = session.scalars(select(PersonRow).where(PersonRow.issuer != _PURGED).order_by(PersonRow.created))
            logins: dict[str, list[PersonRow]] = {}
            for row in rows:
                logins.setdefault(row.merged_into or row.id, []).append(row)
            known = []
            for id, theirs in logins.items():
                own = session.get_one(PersonRow, id)
                said = tuple(f"{row.subject} at {row.issuer}" for row in sorted(theirs, key=lambda row: row is not own))
                known.append(Known(person_of(own), said, own.created, owned.get(id, 0)))
            return sorted(known, key=lambda one: (one.person.name.casefold(), one.created))

    def count_of(self, person: Person) -> int:
        """How many records they own, deleted ones too."""
        with self._session() as session:
            owned = select(func.count()).select_from(RecordRow).where(RecordRow.owner_id == person.id)
            return session.scalar(owned) or 0

    def give_role(self, id: str, role: Role, admin: Person) -> None:
        """Raises NotAllowed for anybody but an admin, LabError where no admin would be left, NotFound."""
        with self._session() as session:
            _hold_admins(session)
            allowed(session, admin, Role.ADMIN)
            row = self._there(session, id)
            row.role = role
            session.flush()
            _check_admins(session)

    def merge(self, id: str, into: str, admin: Person) -> None:
        """What this person owns and wrote is the other's from now on, and so is their login. It can't be undone.

        A frozen version keeps the name that was hashed with it. Raises NotAllowed for anybody but an admin, LabError
        where no admin would be left, NotFound.
        """
        if id == into:
            raise LabError("that is one person already: choose two")
        with self._session() as session:
            _hold_admins(session)
            allowed(session, admin, Role.ADMIN)
            gone, _ = self._there(session, id), self._there(session, into)
            both = select(AskedRow.id).where(AskedRow.person_id == into)  # wait for one thing
            session.execute(delete(AskedRow).where(AskedRow.person_id == id, AskedRow.id.in_(both)))
            persons = Base.metadata.tables[PersonRow.__tablename__]
            for table in Base.metadata.sorted_tables:
                for column in table.columns:
                    if column.references(persons.c.id):  # also of those who were merged into this person before
                        session.execute(update(table).where(column == id).values({column: into}))
            gone.merged_into = into
            session.flush()
            _check_admins(session)

    def _there(self, session: Session, id: str) -> PersonRow:
        row = session.get(PersonRow, id, with_for_update=True)
        if row is None or row.merged_into is not None or row.issuer == _PURGED:
            raise NotFound("there is no such person (any more)")
        return row


def erase_person(session: Session, row: PersonRow) -> None:
    """Their names and logins, and those of who was merged into them."""
    for one in [row, *session.scalars(select(PersonRow).where(PersonRow.merged_into == row.id))]:
        one.issuer, one.subject, one.name = _PURGED, one.id, "(erased)"


def person_of(row: PersonRow) -> Person:
    return Person(row.id, row.name, Role(row.role))


def seen_by(viewer: Person) -> ColumnElement[bool]:
    """Of records: the lab's, and this person's private ones."""
    return or_(RecordRow.visibility == "lab", RecordRow.owner_id == viewer.id)


def allowed(session: Session, who: Person, needed: Role = Role.EDITOR) -> None:
    """Does what the record says of this person *now* reach to that. Raises NotAllowed.

    Asked after the first write of a transaction: from then on nobody else can merge them or take the role away.
    """
    row = session.get(PersonRow, who.id, with_for_update={"read": True})
    if row is None or row.merged_into is not None:
        raise NotAllowed("this login belongs to another person now: reload the page")
    Role(row.role).check(needed)


_IS_ADMIN = (PersonRow.role == Role.ADMIN) & PersonRow.merged_into.is_(None) & (PersonRow.issuer != _PURGED)


def _hold_admins(session: Session) -> None:
    """Until the end of the transaction nobody else changes who is one: two could give up their own role at once."""
    session.execute(select(PersonRow.id).where(_IS_ADMIN).order_by(PersonRow.id).with_for_update()).all()


def _check_admins(session: Session) -> None:
    """Raises LabError, which undoes what was done."""
    if not session.scalar(select(func.count()).where(_IS_ADMIN)):
        raise LabError("then nobody would be an admin: make somebody else one first")

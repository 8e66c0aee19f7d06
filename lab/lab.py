"""The record: who says what about which graph or feature. One transaction a call; safe from several threads.

A record is its revisions: saving appends one, restoring appends an old one again, deleting leaves a tombstone. Who
writes must be an editor at that moment, or NotAllowed is raised. Each call raises LabError where the database can't
do it now, as on a full disk: then nothing has changed.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import Subquery, delete, func, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from lab.asked import Asking
from lab.batch import BatchBody
from lab.bodies import CircuitBody, CommentBody, LabelBody, SteeringBody
from lab.database import forget_pages, open_database
from lab.errors import Conflict, LabError, NotFound, NotYours, Unreachable
from lab.freeze import version_file
from lab.freezing import Freezing, read_freeze
from lab.hypothesis import HypothesisBody
from lab.people import People, allowed, erase_person, person_of, seen_by
from lab.runs.bodies import RunBody, draft_hash
from lab.runs.keeping import KeepingRuns
from lab.schema import AskedRow, FiguresRow, FreezeRow, PersonRow, PurgeRow, RecordRow, RevisionRow
from lab.sizes import Sizes
from lab.views import About, Body, Person, Record, Revision

AnyBody = CircuitBody | LabelBody | SteeringBody | HypothesisBody | RunBody | CommentBody | BatchBody
KINDS: dict[str, type[AnyBody]] = {
    "circuit": CircuitBody,
    "label": LabelBody,
    "steering": SteeringBody,
    "hypothesis": HypothesisBody,
    "run": RunBody,
    "comment": CommentBody,
    "batch": BatchBody,
}
VISIBILITIES = ("lab", "private")


class Lab(People, Freezing, KeepingRuns, Asking, Sizes):
    def __init__(self, url: str) -> None:
        """Opens the database, and makes or migrates its tables. Raises LabDatabaseError."""
        self._engine = open_database(url)

    def close(self) -> None:
        self._engine.dispose()

    def touch(self) -> None:
        """Raises LabError where the database does not answer."""
        with self._session() as session:
            session.execute(select(PersonRow.id).limit(1))

    # -- records ------------------------------------------------------------------------------------------------------

    def create(self, author: Person, about: About, body: Body, visibility: str = "lab") -> Record[Body]:
        """A new record with its first revision. Raises LabError for a visibility that is none."""
        _check_visibility(visibility)
        kind = next(kind for kind, model in KINDS.items() if isinstance(body, model))
        now = _now()
        row = RecordRow(
            id=secrets.token_hex(6), kind=kind, owner_id=author.id, visibility=visibility, created=now, **vars(about)
        )
        with self._session() as session:
            session.add(row)
            session.flush()
            allowed(session, author)
            session.add(_revision(row.id, 1, author, body, now))
            session.flush()
            return self._view(session, row)

    def get(self, id: str, viewer: Person) -> Record:
        """Deleted ones too, so that a deletion can be undone. Raises NotFound."""
        with self._session() as session:
            return self._view(session, self._row(session, id, viewer))

    def find(
        self,
        kind: str,
        viewer: Person,
        about: About | None = None,
        *,
        deleted: bool = False,
        troubles: list[str] | None = None,
    ) -> list[Record]:
        """What this person may see and nobody deleted (or somebody did), the latest change first.

        `about`: those fields that are set. A record that was changed in the database so that it can't be read raises
        LabError; where `troubles` is given, it is told there, and the others are found.
        """
        wanted = [] if about is None else [(name, value) for name, value in vars(about).items() if value is not None]
        heads, gone = _heads(), RecordRow.deleted.is_not(None)
        found = (
            select(RecordRow, RevisionRow, PersonRow)
            .join(heads, heads.c.record_id == RecordRow.id)
            .join(RevisionRow, (RevisionRow.record_id == RecordRow.id) & (RevisionRow.number == heads.c.number))
            .join(PersonRow, PersonRow.id == RevisionRow.author_id)
            .where(RecordRow.kind == kind, gone if deleted else ~gone, seen_by(viewer))
            .where(*(getattr(RecordRow, name) == value for name, value in wanted))
            .order_by(RevisionRow.created.desc())
        )
        with self._session() as session:
            owners = {row.id: person_of(row) for row in session.scalars(select(PersonRow))}
            records = []
            for record, revision, author in session.execute(found):
                try:
                    records.append(_record(record, owners[record.owner_id], _read(record, revision, author.name)))
                except LabError as problem:
                    if troubles is None:
                        raise
                    troubles.append(str(problem))
            return records

    def save(self, id: str, author: Person, body: Body, base: int) -> Revision[Body]:
        """A revision on top of number `base`. Raises Conflict if somebody was faster, NotFound if it is gone, LabError
        for a run of a hypothesis and a comment, which stay as they were made.

        The same text again is no new revision.
        """
        try:
            with self._session() as session:
                row = self._row(session, id, author)
                if row.kind == "run":
                    raise LabError("a run stays as it was made: run the hypothesis again")
                if row.kind == "comment":
                    raise LabError("a comment stays as it was said: take it away and write another")
                # Before the head is read: whoever saves after this takes the number that is then ours, and one fails.
                last = session.scalar(select(func.max(RevisionRow.number)).where(RevisionRow.record_id == id)) or 0
                head = self._head(session, row)
                if row.deleted is not None:
                    raise NotFound("it was deleted in the meantime: restore it, or save yours as a new one")
                if head.number != base:
                    raise Conflict(head)
                if head.body == body:
                    return head
                new = _revision(id, last + 1, author, body, _now())
                session.add(new)
                session.flush()
                allowed(session, author)
                return _read(row, new, author.name)
        except IntegrityError:  # between our look and our write
            with self._session() as session:
                raise Conflict(self._head(session, self._row(session, id, author))) from None

    def history(self, id: str, viewer: Person) -> list[Revision]:
        """The latest first."""
        with self._session() as session:
            row = self._row(session, id, viewer)
            found = (
                select(RevisionRow, PersonRow.name)
                .join(PersonRow, PersonRow.id == RevisionRow.author_id)
                .where(RevisionRow.record_id == id, RevisionRow.body.is_not(None))
                .order_by(RevisionRow.number.desc())
            )
            return [_read(row, revision, name) for revision, name in session.execute(found)]

    def restore(self, id: str, number: int, author: Person, base: int) -> Revision:
        """An old revision once more, on top of number `base`."""
        old = next((revision for revision in self.history(id, author) if revision.number == number), None)
        if old is None:
            raise NotFound(f"there is no version {number}")
        return self.save(id, author, old.body, base)

    def show_to(self, id: str, owner: Person, visibility: str) -> None:
        """Of a hypothesis with all that its owner made of it: the runs of all its versions, and comments.

        Raises NotYours for anybody but the owner.
        """
        _check_visibility(visibility)
        with self._session() as session:
            row = self._own_row(session, id, owner)
            with_it = _holding_its_text(session, row) if row.kind == "hypothesis" else []
            for one in [row, *with_it]:
                if one.owner_id == owner.id:
                    one.visibility = visibility

    def delete(self, id: str, owner: Person) -> None:
        """A tombstone: nothing is erased. Raises NotYours for anybody but the owner."""
        with self._session() as session:
            row = self._own_row(session, id, owner)
            row.deleted, row.deleted_by = _now(), owner.id

    def undelete(self, id: str, owner: Person) -> None:
        with self._session() as session:
            row = self._own_row(session, id, owner)
            row.deleted = row.deleted_by = None

    # -- for good -----------------------------------------------------------------------------------------------------

    def purge_record(self, id: str) -> None:
        """Erase the text of all its revisions, and keep the id alone; of a hypothesis its runs and comments too.

        Raises NotFound.
        """
        with self._session() as session:
            row = session.get(RecordRow, id)
            if row is None:
                raise NotFound(f"there is no record {id}")
            _erase(session, row)
        forget_pages(self._engine)

    def purge_person(self, id: str) -> int:
        """Erase a person's name and login, all they own and wrote elsewhere, and others' runs of what they wrote.
        Returns how many records they owned."""
        with self._session() as session:
            person = session.get(PersonRow, id)
            if person is None:
                raise NotFound(f"there is no person {id}")
            owned = session.scalars(select(RecordRow).where(RecordRow.owner_id == id)).all()
            for row in owned:
                _erase(session, row)
            in_others = select(RevisionRow.record_id).where(RevisionRow.author_id == id, RevisionRow.body.is_not(None))
            for row in session.scalars(select(RecordRow).where(RecordRow.id.in_(in_others))).all():
                for run in _holding_its_text(session, row, by=id) if row.kind == "hypothesis" else []:
                    _erase(session, run)
            session.execute(update(RevisionRow).where(RevisionRow.author_id == id).values(body=None))
            session.execute(update(FreezeRow).where(FreezeRow.author_id == id).values(author=None))
            session.execute(delete(AskedRow).where(AskedRow.person_id == id))
            erase_person(session, person)
            session.merge(PurgeRow(id=id, kind="person", purged=_now()))
        forget_pages(self._engine)
        return len(owned)

    # -- inside a transaction -----------------------------------------------------------------------------------------

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (OperationalError, PoolTimeout) as problem:
            why = str(getattr(problem, "orig", problem)).partition("\n")[0]
            raise Unreachable(f"the record can't be read or written now, and nothing was changed: {why}") from problem

    def _row(self, session: Session, id: str, viewer: Person) -> RecordRow:
        row = session.scalar(select(RecordRow).where(RecordRow.id == id, seen_by(viewer)))
        if row is None:
            raise NotFound("there is no such record, or it is private to somebody else")
        return row

    def _own_row(self, session: Session, id: str, owner: Person) -> RecordRow:
        allowed(session, owner)
        row = self._row(session, id, owner)
        if row.owner_id != owner.id:
            raise NotYours("only its owner may do that: save a copy of your own instead")
        return row

    def _head(self, session: Session, row: RecordRow) -> Revision:
        """The latest revision whose text was not erased."""
        found = session.execute(
            select(RevisionRow, PersonRow.name)
            .join(PersonRow, PersonRow.id == RevisionRow.author_id)
            .where(RevisionRow.record_id == row.id, RevisionRow.body.is_not(None))
            .order_by(RevisionRow.number.desc())
            .limit(1)
        ).first()
        if found is None:
            raise NotFound("its text was erased for good")
        return _read(row, *found)

    def _view(self, session: Session, row: RecordRow) -> Record:
        owner = session.get_one(PersonRow, row.owner_id)
        return _record(row, person_of(owner), self._head(session, row))


def _heads() -> Subquery:
    """Of each record the latest revision whose text was not erased."""
    return (
        select(RevisionRow.record_id, func.max(RevisionRow.number).label("number"))
        .where(RevisionRow.body.is_not(None))
        .group_by(RevisionRow.record_id)
        .subquery()
    )


def _revision(record: str, number: int, author: Person, body: AnyBody, now: datetime) -> RevisionRow:
    return RevisionRow(
        record_id=record, number=number, author_id=author.id, created=now, body=body.model_dump_json(exclude_none=True)
    )


def _read(record: RecordRow, revision: RevisionRow, author: str) -> Revision:
    try:
        body = KINDS[record.kind].model_validate_json(revision.body or "")
    except ValidationError as problem:
        raise LabError(
            f"version {revision.number} of {record.kind} {record.id} can't be read: it was changed in the database;"
            " restore a backup, or erase it (make purge)"
        ) from problem
    return Revision(record.id, revision.number, author, revision.created, body)


def _record(row: RecordRow, owner: Person, head: Revision) -> Record:
    about = About(row.graph, row.node, row.model, row.basis, row.layer, row.feature, row.hypothesis)
    return Record(row.id, row.kind, owner, row.visibility, about, row.created, row.deleted, head)


def _holding_its_text(session: Session, row: RecordRow, by: str | None = None) -> Sequence[RecordRow]:
    """Of a hypothesis: comments on it; runs, which hold a copy of what ran; of drafts that are another hypothesis too
    the owner's alone. `by`: only runs of the versions that this person wrote."""
    rows = select(FreezeRow).where(FreezeRow.record_id == row.id).order_by(FreezeRow.number)
    freezes = [read_freeze(freeze) for freeze in session.scalars(rows)]
    everybodys: list[str] = [row.id] if by is None else []
    owners: list[str] = []
    for version in session.scalars(select(RevisionRow).where(RevisionRow.record_id == row.id)).all():
        if by not in (None, version.author_id):
            continue
        everybodys += [freeze.hash for freeze in freezes if freeze.version == version.number]
        with suppress(ValidationError):
            file = version_file(HypothesisBody.model_validate_json(version.body or ""), version.number, freezes)
            (owners if _is_elsewhere(session, version, by) else everybodys).append(draft_hash(file))
    own = RecordRow.hypothesis.in_(owners) & (RecordRow.owner_id == row.owner_id)
    return session.scalars(select(RecordRow).where(RecordRow.hypothesis.in_(everybodys) | own)).all()


def _is_elsewhere(session: Session, version: RevisionRow, by: str | None) -> bool:
    """The same text, of another record; or of another person than `by`."""
    other = RevisionRow.record_id != version.record_id if by is None else RevisionRow.author_id != by
    found = select(RevisionRow.number).where(RevisionRow.body == version.body, other).limit(1)
    return session.scalar(found) is not None


def _erase(session: Session, row: RecordRow) -> None:
    if row.kind == "hypothesis":
        for other in _holding_its_text(session, row):
            _erase(session, other)
    session.execute(update(RevisionRow).where(RevisionRow.record_id == row.id).values(body=None))
    session.execute(update(FreezeRow).where(FreezeRow.record_id == row.id).values(author=None))  # the hash is kept
    row.deleted = row.deleted or _now()
    session.execute(update(FiguresRow).where(FiguresRow.run_id == row.id).values(body=None))
    row.graph = row.node = row.model = row.basis = row.layer = row.feature = row.hypothesis = None
    session.merge(PurgeRow(id=row.id, kind=row.kind, purged=_now()))


def _check_visibility(visibility: str) -> None:
    if visibility not in VISIBILITIES:
        raise LabError(f"visibility is {visibility!r}: give {' or '.join(VISIBILITIES)}")


def _now() -> datetime:
    return datetime.now(UTC)

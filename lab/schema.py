"""The tables. Changes of the schema are migrations (lab/migrations); a test compares the two."""

from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import DateTime, Dialect, ForeignKey, ForeignKeyConstraint, Index, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcTime(TypeDecorator[datetime]):
    """SQLite forgets the time zone: all times are UTC, and come back as such."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: UtcTime, str: Text}


class PersonRow(Base):
    __tablename__ = "persons"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str]  # "local", or the address of a login provider
    subject: Mapped[str]  # who that is there
    name: Mapped[str]
    created: Mapped[datetime]
    role: Mapped[str]
    merged_into: Mapped[str | None] = mapped_column(ForeignKey("persons.id"))  # whose login this is now


class RecordRow(Base):
    """One label, circuit, steering run, hypothesis, run of one, comment or batch. Its text is in its revisions."""

    __tablename__ = "records"
    __table_args__ = (
        Index("records_of_graph", "graph"),
        Index("records_of_feature", "model", "basis", "layer", "feature"),
        Index("records_of_hypothesis", "hypothesis"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner_id: Mapped[str] = mapped_column(ForeignKey("persons.id"))
    visibility: Mapped[str]
    graph: Mapped[str | None]
    node: Mapped[str | None]
    model: Mapped[str | None]
    basis: Mapped[str | None]
    layer: Mapped[int | None]
    feature: Mapped[int | None]
    hypothesis: Mapped[str | None]
    created: Mapped[datetime]
    deleted: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(ForeignKey("persons.id"))


class RevisionRow(Base):
    """Append-only: the primary key lets only one of two savers have a number."""

    __tablename__ = "revisions"

    record_id: Mapped[str] = mapped_column(ForeignKey("records.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    author_id: Mapped[str] = mapped_column(ForeignKey("persons.id"))
    created: Mapped[datetime]
    body: Mapped[str | None]  # JSON; None once purged


class FreezeRow(Base):
    """A version of a hypothesis that was frozen. It outlives the text and the name that are purged."""

    __tablename__ = "freezes"
    __table_args__ = (
        ForeignKeyConstraint(["record_id", "number"], ["revisions.record_id", "revisions.number"]),
        UniqueConstraint("record_id", "previous"),  # one chain a record: of two who freeze at once, one fails
    )

    record_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[str]
    previous: Mapped[str]  # the hash of the version frozen before; empty: this is the first
    author_id: Mapped[str] = mapped_column(ForeignKey("persons.id"))
    author: Mapped[str | None]  # the name as it was hashed; None once purged
    created: Mapped[datetime]


class FiguresRow(Base):
    """What a run of a hypothesis measured on one prompt, written when that was finished; nothing changes it."""

    __tablename__ = "figures"

    run_id: Mapped[str] = mapped_column(ForeignKey("records.id"), primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)  # which prompt, or the controls that were drawn
    created: Mapped[datetime]
    body: Mapped[str | None]  # JSON; None once purged


class AskedRow(Base):
    """What a person asked a server for and has no answer to."""

    __tablename__ = "asked"

    id: Mapped[str] = mapped_column(primary_key=True)  # of the job
    person_id: Mapped[str] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    server: Mapped[str]
    created: Mapped[datetime]
    cut_off: Mapped[datetime | None]  # when that server started anew
    request: Mapped[str]  # JSON


class PurgeRow(Base):
    """What was erased for good: the id alone."""

    __tablename__ = "purges"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    purged: Mapped[datetime]

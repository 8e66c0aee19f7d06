"""The whole record as one file, taken while the server runs, and back into an empty database: also of the other kind.

A zip of `backup.json` (when, of which schema, how many rows of each table) and a file of JSON lines a table. What was
purged is not in a new backup; an older one still has it.
"""

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from alembic import command
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, DateTime, MetaData, Table, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from lab.database import connect, migration_config, without_password
from lab.errors import LabDatabaseError, LabError

FORMAT = "hypograph-backup-1"
_SPOILED = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, ValueError, TypeError,
            AttributeError, OverflowError, RecursionError, RuntimeError)  # fmt: skip
"""What zipfile, json and datetime raise for a file that is no backup; RuntimeError: it is encrypted."""

_ROWS = 500  # that are read or written at once
MOST_ABOUT = 1_000_000  # bytes of backup.json
MOST_LINE = 100_000_000  # bytes of one row; the longest that Hypograph writes is a run's figures, see lab/runs/files.py


def back_up(url: str, path: Path) -> dict[str, int]:
    """How many rows of each table. All of one moment, whatever is written meanwhile. Raises LabDatabaseError, LabError.

    The file appears whole or not at all, for its owner alone.
    """
    engine = connect(url)
    try:
        one_moment = "REPEATABLE READ" if engine.dialect.name == "postgresql" else "SERIALIZABLE"
        with engine.connect().execution_options(isolation_level=one_moment) as connection:
            _begin(connection, "BEGIN")
            return _write(connection, path)
    except SQLAlchemyError as problem:
        raise LabDatabaseError(f"the database {without_password(url)} can't be read: is it there?") from problem
    except OSError as problem:
        raise LabError(f"{path} can't be written: {problem.strerror or problem}") from problem
    finally:
        engine.dispose()


def restore(path: Path, url: str) -> dict[str, int]:
    """Into a database where nobody has written yet; how many rows of each table. Raises LabDatabaseError, LabError.

    The file may be anybody's: a few rows of it are in memory at a time, whatever it unpacks to. All
    of it or nothing. A backup of an older schema is brought up to date. No server may run on the database.
    """
    engine = connect(url)
    try:
        with zipfile.ZipFile(path) as archive, engine.connect() as connection:
            about = _about(archive)
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise LabError(f"{path} is no backup of Hypograph's record")
            _begin(connection, "BEGIN IMMEDIATE")
            _clear(connection, without_password(url))
            counts = _read(connection, archive, about)
            connection.commit()
            return counts
    except _SPOILED as problem:
        raise LabError(f"{path} is no backup of Hypograph's record, or is damaged: {problem}") from problem
    except SQLAlchemyError as problem:
        why = str(problem).partition("\n")[0]
        raise LabDatabaseError(f"the database {without_password(url)} took nothing of it: {why}") from problem
    finally:
        engine.dispose()


def _begin(connection: Connection, words: str) -> None:
    """Python's sqlite3 begins a transaction neither for a SELECT nor for a change of the schema."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(words)


def _tables(connection: Connection) -> list[Table]:
    """As they are in the database, those first to which others refer."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


# -- out of a database ------------------------------------------------------------------------------------------------


def _write(connection: Connection, path: Path) -> dict[str, int]:
    schema = MigrationContext.configure(connection).get_current_revision()
    if schema is None:
        raise LabError("there is no record in this database yet: nothing to back up")
    handle, unfinished = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            counts = {}
            for table in _tables(connection):
                with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as out:
                    counts[table.name] = _write_rows(connection, table, out)
            about = {"format": FORMAT, "schema": schema, "taken": datetime.now(UTC).isoformat(), "rows": counts}
            archive.writestr("backup.json", json.dumps(about, indent=1))
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
    return counts


def _write_rows(connection: Connection, table: Table, out: IO[bytes]) -> int:
    to_own_table = [column for column in table.columns if any(column.references(other) for other in table.columns)]
    rows = select(table).order_by(*(column.is_not(None) for column in to_own_table))  # those they refer to come first
    count = 0
    for row in connection.execution_options(yield_per=_ROWS).execute(rows).mappings():
        out.write(json.dumps({name: _plain(value) for name, value in row.items()}).encode() + b"\n")
        count += 1
    return count


def _plain(value: Any) -> Any:
    return _utc(value).isoformat() if isinstance(value, datetime) else value


def _utc(value: datetime) -> datetime:
    """All times in the record are: SQLite forgets that, and PostgreSQL tells them in the zone of its session."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# -- into a database --------------------------------------------------------------------------------------------------


def _clear(connection: Connection, name: str) -> None:
    """Raises LabError where somebody has written."""
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        if table.name == "records" and connection.scalar(select(func.count()).select_from(table)):
            raise LabError(f"people have written into {name}: restore into a database that is empty")
    metadata.drop_all(connection)


def _read(connection: Connection, archive: zipfile.ZipFile, about: Mapping[str, Any]) -> dict[str, int]:
    try:
        command.upgrade(migration_config(connection), str(about["schema"]))
    except CommandError as problem:
        raise LabError("this backup is of a newer Hypograph: install that one, then restore") from problem
    counts = {}
    for table in _tables(connection):
        counts[table.name] = 0
        for rows in _batches(archive, table):
            connection.execute(insert(table), rows)
            counts[table.name] += len(rows)
    if counts != about["rows"]:
        raise LabError("the backup is damaged: it has other rows than it says")
    command.upgrade(migration_config(connection), "head")
    return counts


def _about(archive: zipfile.ZipFile) -> Any:
    with archive.open("backup.json") as file:
        content = file.read(MOST_ABOUT + 1)
    if len(content) > MOST_ABOUT:
        raise ValueError("backup.json is too long")
    return json.loads(content)


def _batches(archive: zipfile.ZipFile, table: Table) -> Iterator[list[dict[str, Any]]]:
    """At most _ROWS rows, or a little over MOST_LINE bytes, each."""
    times = {column.name for column in table.columns if isinstance(column.type, DateTime)}
    rows: list[dict[str, Any]] = []
    size = 0
    with archive.open(f"{table.name}.jsonl") as lines:
        while line := lines.readline(MOST_LINE + 1):
            size += len(line)
            if len(line) > MOST_LINE:
                raise ValueError(f"a row of {table.name} is too long")
            row = json.loads(line)
            rows.append({name: _time(value) if name in times else value for name, value in row.items()})
            if len(rows) == _ROWS or size > MOST_LINE:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def _time(value: str | None) -> datetime | None:
    return None if value is None else _utc(datetime.fromisoformat(value))

"""Opens the database and brings its schema up to date: SQLite in a file by default, PostgreSQL by URL."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from filelock import FileLock
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from lab.errors import LabDatabaseError
from tracer import home

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 4_970_686  # of PostgreSQL's advisory locks: "hypograph's schema"


def default_url() -> str:
    """A file in Hypograph's home."""
    return f"sqlite:///{(home().absolute() / 'lab.sqlite').as_posix()}"


def without_password(url: str) -> str:
    """As it may be shown; a URL that is none is not shown at all."""
    try:
        return _shown(make_url(url))
    except (ArgumentError, ValueError):
        return "(no database URL)"


def _shown(url: URL) -> str:
    """Options may hold a password too; so does what looks like the host where one has an @ that is not written %40."""
    host = url.host and url.host.rpartition("@")[2]
    return url.set(host=host, query={}).render_as_string(hide_password=True)


def connect(url: str) -> Engine:
    """As it is; the folder of an SQLite file is made. Raises LabDatabaseError for a URL that is none."""
    try:
        address = make_url(url)
        if address.get_backend_name() == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        elif address.get_backend_name() != "sqlite":
            raise LabDatabaseError(
                f"HYPOGRAPH_DATABASE_URL names {address.get_backend_name()}: give a sqlite or postgresql URL"
            )
        engine = create_engine(address, pool_pre_ping=True)
    except (ArgumentError, ImportError, ValueError) as problem:
        raise LabDatabaseError(
            "HYPOGRAPH_DATABASE_URL is no database URL: give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        ) from problem
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        if address.database:
            try:
                Path(address.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as problem:
                raise _unusable(engine) from problem
    return engine


def open_database(url: str) -> Engine:
    """With its tables, brought up to date.

    Raises LabDatabaseError for a URL that is none, a database that is not there, or a file that can't be written.
    """
    engine = connect(url)
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    try:
        if file:
            with FileLock(file + ".lock"):  # two servers that start at once migrate in turn
                _upgrade(engine)
            Path(file).chmod(0o600)
        else:
            _upgrade(engine)
    except (SQLAlchemyError, OSError) as problem:
        raise _unusable(engine) from problem
    return engine


def _unusable(engine: Engine) -> LabDatabaseError:
    return LabDatabaseError(f"the database {_shown(engine.url)} can't be used: check that it is there and writable")


def _prepare_sqlite(connection, _record) -> None:  # type: ignore[no-untyped-def]
    """Readers don't wait for a writer, references hold, and what is purged is overwritten."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=10000", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def forget_pages(engine: Engine) -> None:
    """What was overwritten leaves SQLite's write-ahead log too, which other connections may keep open."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _upgrade(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        command.upgrade(migration_config(connection), "head")


def migration_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS.as_posix())
    config.attributes["connection"] = connection
    return config

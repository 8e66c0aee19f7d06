"""The record on SQLite, and on a real PostgreSQL where one is installed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from lab import Lab
from tests.lab.postgres import Postgres, programs


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server that is gone after the tests."""
    found = programs()
    if found is None:
        pytest.skip("there is no PostgreSQL here (on Debian: apt-get install postgresql)")
    server = Postgres(found)
    server.start()
    yield server.url
    server.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _empty(request, tmp_path / "lab.sqlite", request.param)


@pytest.fixture
def other_url(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> str:
    """One more empty database of the same kind."""
    return _empty(request, tmp_path / "other.sqlite", url.partition(":")[0])


def _empty(request: pytest.FixtureRequest, file: Path, kind: str) -> str:
    if kind == "sqlite":
        return f"sqlite:///{file}"
    server: str = request.getfixturevalue("postgres")
    name = f"t{os.urandom(4).hex()}"
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rpartition("/")[0] + "/" + name


@pytest.fixture
def lab(url: str) -> Iterator[Lab]:
    lab = Lab(url)
    yield lab
    lab.close()

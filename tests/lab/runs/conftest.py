"""A record on SQLite, one thread for tiny matrices, and a tiny model for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from tests.lab.runs import tiny
from tracer import ReplacementModel


@pytest.fixture(scope="session")
def model() -> ReplacementModel:
    return tiny.model()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab
    lab.close()

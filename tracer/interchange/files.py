"""Files of other programs on this disk: opened with a limit, and every failure is one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from tracer.errors import TracerError


@contextmanager
def reading(path: str | Path, limit: int) -> Iterator[BinaryIO]:
    """Raises TracerError for a file that can't be read or is longer than `limit` bytes."""
    try:
        with open(path, "rb") as file:
            if file.seek(0, SEEK_END) > limit:
                raise TracerError(f"{path} is longer than {limit / 1e6:,.0f} MB, the most that is read of such a file")
            file.seek(0)
            yield file
    except OSError as problem:
        raise TracerError(f"can't read {path}: {problem.strerror or problem}") from problem


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Raises TracerError for a file that can't be written."""
    try:
        with open(path, "w+b") as file:
            yield file
    except OSError as problem:
        raise TracerError(f"can't write {path}: {problem.strerror or problem}; choose another place") from problem

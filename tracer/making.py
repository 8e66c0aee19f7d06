"""Folders that are made once a machine: under a temporary name, under a lock that other processes wait for, and renamed
when they are whole. What was killed half-way is swept away by the next start.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tracer.errors import Cancelled, Progress, TracerError, first_line


def make_folder(folder: Path, name: str, need: float, fill: Callable[[Path], None], progress: Progress) -> None:
    """Make `folder`, unless it is there: `fill` puts everything into an empty one.

    `name`: of what is made, for messages. `need`: bytes of disk that must be free. Raises TracerError with what to do
    when the disk is full or not writable; a TracerError of `fill` passes through.
    """
    with writable(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{folder.name}.lock", progress):
            if not folder.is_dir():  # another process may have made it while we waited
                _fill(folder, name, need, fill)


@contextmanager
def writable(store: Path) -> Iterator[None]:
    """A store that can't be used is one line that says what to do."""
    try:
        yield
    except OSError as problem:
        raise TracerError(
            f"can't write {store}: {first_line(problem)}; point HYPOGRAPH_HOME at a folder that is writable"
        ) from problem


class _locked:
    """An advisory lock between processes; waiting for it reports progress, so it can be cancelled."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.lock, self.progress = FileLock(path), progress

    def __enter__(self) -> None:
        while True:
            try:
                self.lock.acquire(timeout=0.25)
                return
            except Timeout:
                self.progress("wait", 0.0)

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def _fill(folder: Path, name: str, need: float, fill: Callable[[Path], None]) -> None:
    prefix = f".making-{folder.name}-"  # nobody else's: theirs may be at work
    for left_over in folder.parent.glob(prefix + "*"):
        shutil.rmtree(left_over, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    if free < need:
        raise TracerError(
            f"converting {name} needs {need / 1e9:.1f} GB free under {folder.parent}, {free / 1e9:.1f} GB are;"
            " make room, or point HYPOGRAPH_HOME at another disk"
        )
    making = folder.parent / f"{prefix}{uuid.uuid4().hex}"
    making.mkdir()
    try:
        fill(making)
        os.replace(making, folder)
    except (Cancelled, TracerError):
        raise
    except Exception as problem:  # a full disk shows as many different errors on the way
        raise TracerError(
            f"converting {name} failed ({first_line(problem)}); see that {need / 1e9:.1f} GB are free under"
            f" {folder.parent} and start again"
        ) from problem
    finally:
        shutil.rmtree(making, ignore_errors=True)

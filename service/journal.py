"""Writes down what was asked for, in the record, so that a crash loses no request; and finds what a crash cut off.

A thread of its own: a database that does not answer holds nothing up, and hears of it all when it is back.
"""

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lab import Lab, Person, Unreachable
from service.jobs import Job, TraceRequest

log = logging.getLogger(__name__)

_AGAIN = 1.0  # seconds until a database that did not answer is asked again
_AT_END = 5.0


@dataclass(frozen=True)
class Asked:
    """A trace, and what it was asked of: token ids belong to a model."""

    request: TraceRequest
    model: str
    features: str
    fingerprint: str


_TEXT = TypeAdapter(Asked)


@dataclass(frozen=True)
class Interrupted:
    id: str
    asked: Asked
    created: float  # Unix time


class Journal:
    def __init__(self, lab: Lab, home: Path) -> None:
        """`home`: two servers on one folder have different names."""
        self._lab = lab
        self._name, self._lock = _own_name(home)
        self._left: deque[Callable[[], None]] = deque([partial(lab.server_starts, self._name)])
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="hypograph-journal", daemon=True)
        self._thread.start()

    def asked(self, job: Job, person: str, model: str, features: str, fingerprint: str) -> None:
        """A run of a hypothesis needs none: its own record says how far it is."""
        if isinstance(job.request, TraceRequest):
            text = _TEXT.dump_json(Asked(job.request, model, features, fingerprint)).decode()
            self._add(partial(self._lab.keep_asked, job.id, person, self._name, text))

    def over(self, job: Job, person: str | None = None) -> None:
        """For this person, or for all."""
        if isinstance(job.request, TraceRequest):
            self._add(partial(self._lab.answered, job.id, person))

    def interrupted(self, person: Person) -> list[Interrupted]:
        """What a crash or a stop cut off. Raises LabError."""
        found = []
        for one in self._lab.cut_off(person):
            try:
                found.append(Interrupted(one.id, _TEXT.validate_json(one.request), one.created.timestamp()))
            except ValidationError:  # of another version of Hypograph
                self.forget(one.id, person)
        return found

    def forget(self, job_id: str, person: Person) -> None:
        """Raises LabError."""
        self._lab.answered(job_id, person.id)

    def close(self) -> None:
        """What is not over by now counts as cut off at the next start."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_AT_END)
        self._lock.release()

    def _add(self, write: Callable[[], None]) -> None:
        with self._changed:
            if not self._closed:
                self._left.append(write)
                self._changed.notify_all()

    def _write(self) -> None:
        silent = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._left or self._closed)
                if not self._left:
                    return
                write = self._left[0]
            try:
                write()
            except Unreachable as problem:
                if not silent:
                    log.warning("the journal waits for the record: %s", problem)
                silent = True
                with self._changed:
                    if self._closed:
                        return
                    self._changed.wait(_AGAIN)
                continue
            except Exception:  # of one whose person was erased meanwhile, say: what comes after it is written down
                log.exception("the journal could not write one thing down")
            silent = False
            self._left.popleft()


def _own_name(home: Path) -> tuple[str, FileLock]:
    """The same after a restart, another one for a second server on this folder."""
    folder = home / "servers"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = 0
    while True:
        lock = FileLock(folder / f"{number}.lock", thread_local=False)  # another thread lets it go
        try:
            lock.acquire(blocking=False)
            return f"{socket.gethostname()}:{home}:{number}", lock
        except Timeout:
            number += 1

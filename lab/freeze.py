"""Freezing: a hash over a hypothesis, who froze it and when, and over the version that was frozen before.

The hash shows that a text is what was frozen. It does not show who made it: whoever can write a file or a database can
also make a new hash. So runs keep the hash that they were made with, and a file says it where others can keep it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, PlainSerializer, StringConstraints, ValidationError

from lab.bodies import Line, Part
from lab.errors import LabError
from lab.hypothesis import HypothesisBody
from lab.splits import Sha256
from lab.yaml_text import MOST_BYTES, canonical, read_yaml, sha256_of_json
from tracer.errors import first_fault, first_line

MOST_TEXT = 300_000  # characters of a frozen hypothesis as JSON; as YAML it then stays below yaml_text.MOST_BYTES

Moment = Annotated[
    AwareDatetime, PlainSerializer(lambda time: time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), str)
]


class Freeze(Part):
    """`previous`: the hash of the version that was frozen before it, which this one changes: its parent. `author`: the
    name of who froze it; None once it was erased for good."""

    record: Line
    version: Annotated[int, Field(ge=1)]
    previous: Sha256 | None = None
    time: Moment
    author: Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")] | None
    hash: Sha256

    @property
    def by(self) -> str:
        return "somebody whose name was erased" if self.author is None else self.author


class HypothesisFile(Part):
    """`parent`: of a draft, the hash of the frozen version that it changes."""

    hypothesis: HypothesisBody
    freeze: Freeze | None = None
    parent: Sha256 | None = None


def version_file(body: HypothesisBody, number: int, freezes: Sequence[Freeze]) -> HypothesisFile:
    """A version with its freeze, or with its parent. `freezes`: those of its record, the first one first."""
    freeze = next((freeze for freeze in freezes if freeze.version == number), None)
    before = [freeze.hash for freeze in freezes if freeze.version < number]
    return HypothesisFile(hypothesis=body, freeze=freeze, parent=before[-1] if before and freeze is None else None)


def frozen(
    body: HypothesisBody, record: str, version: int, previous: str | None, time: datetime, author: str
) -> Freeze:
    """Raises LabError for a hypothesis that isn't whole yet, or is too long."""
    if reason := body.unready():
        raise LabError(reason)
    if len(body.model_dump_json(exclude_none=True)) > MOST_TEXT:
        raise LabError(f"it is longer than {MOST_TEXT:,} characters: leave out prompts or notes")
    told = Freeze(record=record, version=version, previous=previous, time=time, author=author, hash="0" * 64)
    return told.model_copy(update={"hash": hash_of(body, told)})


def hash_of(body: HypothesisBody, freeze: Freeze) -> str:
    """SHA-256 of the canonical YAML of the file, without its hash."""
    told = HypothesisFile(hypothesis=body, freeze=freeze)
    return sha256_of_json(told.model_dump_json(exclude_none=True, exclude={"freeze": {"hash"}}))


def fault(body: HypothesisBody, freeze: Freeze) -> str | None:
    """What does not hold, in one line; None: it is what was frozen."""
    if freeze.author is None:
        return (
            f"version {freeze.version}: who froze it was erased for good; its hash is kept, but can't be computed again"
        )
    if hash_of(body, freeze) != freeze.hash:
        return (
            f"version {freeze.version} is not what was frozen: its text, time, author or hash was changed afterwards;"
            " runs on it are exploratory"
        )
    return None


def exploratory(body: HypothesisBody, freeze: Freeze | None, started: datetime) -> str | None:
    """Why a run that started then is exploratory, in one line; None: it is confirmatory (DESIGN §5).

    Only the first frozen version of a record is confirmatory, as long as it is what was frozen, and was so before the
    run: a change is written by somebody who may have seen what the version before it gave.
    """
    if freeze is None:
        return "the hypothesis was not frozen"
    if problem := fault(body, freeze):
        return problem
    if freeze.previous is not None:
        return f"version {freeze.version} changes one that was frozen before"
    if started < freeze.time:
        return "the run began before the hypothesis was frozen"
    return None


@dataclass(frozen=True)
class Checked:
    """A frozen version as the database has it now."""

    freeze: Freeze
    fault: str | None  # None: it holds
    erased: bool  # its text or author, for good and by `make purge`: the hash alone is left


def check_chain(versions: Sequence[tuple[Freeze, HypothesisBody | None, bool]]) -> list[Checked]:
    """Of each frozen version of a record, the first one first: with its text, if that can be read, and whether it was
    erased on purpose. A version must follow the one before it: one that was taken out is missed by the next."""
    found: list[Checked] = []
    before: str | None = None
    for freeze, body, erased in versions:
        problem = None
        if freeze.previous != before:
            problem = f"version {freeze.version} does not follow the version that was frozen before: one was taken out"
        elif body is None and not erased:
            problem = f"version {freeze.version} can't be read: its text was changed or taken out afterwards"
        elif body is not None and not erased:
            problem = fault(body, freeze)
        found.append(Checked(freeze, problem, erased))
        before = freeze.hash
    return found


def write(file: HypothesisFile) -> str:
    """Canonical YAML."""
    return canonical(file.model_dump(mode="json", exclude_none=True))


def read(content: bytes) -> HypothesisFile:
    """Raises LabError, in one line, for what is no hypothesis. Whether a freeze holds is asked of `fault`."""
    try:
        return HypothesisFile.model_validate(read_yaml(content))
    except ValidationError as problem:
        raise LabError(f"it is no hypothesis ({first_fault(problem)}): correct it") from problem


def read_file(path: Path) -> HypothesisFile:
    """Raises LabError, naming the file."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise LabError(f"{path} can't be read ({first_line(problem)}): give a file") from problem
    try:
        return read(content)
    except LabError as problem:
        raise LabError(f"{path.name}: {problem}") from problem

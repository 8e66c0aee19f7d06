"""A batch as a folder: what was asked for, of which model, and a result for each prompt as soon as it is there.

    batch.json                  `About`
    items.jsonl                 an `Item` a line, in the order of the file that was given
    results/KEY.json            an `Outcome`; written after the graph, so who finds it done finds the graph
    results/KEY.safetensors     the graph

KEY is the cache's key of a graph (model, features, tokens, targets, settings, engine): a result that is there need not
be made again, and one that is written twice is the same. Each file is written under a temporary name and renamed. A
folder may be anybody's: what is read of it is bounded and checked, links are not followed.
"""

import hashlib
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

import tracer
from lab.bodies import Line, Number, Part
from lab.splits import Sha256
from tracer.errors import first_fault, first_line

log = logging.getLogger(__name__)

MOST_ITEMS = 200_000
MOST_TOKENS = 20_000  # of a prompt
LONGEST_TABLE = 200_000_000  # bytes of items.jsonl, and of the file that people give
_LONGEST_ABOUT = 100_000
_LONGEST_OUTCOME = 5_000_000
_LONGEST_GRAPH = 2_000_000_000
_HEAD, _ITEMS, _RESULTS = "batch.json", "items.jsonl", "results"

Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000, pattern=r"^[^\x00]*$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=4_100, pattern=r"^[^\x00]*$")]
TokenId = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Token = TokenId | Word
"""One token: its id, or its text."""


class Settings(Part):
    """Of every trace: the arguments of `ReplacementModel.trace`."""

    max_logits: int = Field(default=10, ge=1, le=1_000)
    logit_mass: float = Field(default=0.95, gt=0, le=1)
    max_nodes: Annotated[int, Field(ge=1)] | Literal["auto"] | None = "auto"


class Fingerprints(Part):
    model: Line
    basis: Line
    engine: Line


class About(Part):
    """What batch.json holds."""

    format: Literal["hypograph-batch"] = "hypograph-batch"
    version: Literal[1] = 1
    title: Line
    model: Name  # as it was asked for: a preset, a folder, a Hub id
    features: Name
    fingerprints: Fingerprints
    settings: Settings = Settings()
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))

    def same_as(self, other: "About") -> bool:
        """Do the same prompts give the same graphs?"""
        return (self.fingerprints, self.settings) == (other.fingerprints, other.settings)


class Asked(Part):
    """One prompt as it is given: a text, or token ids. `target` without `minus`: the one token that is explained; with
    it: the difference of the two. `family` and `condition` are for whoever reads the results."""

    prompt: Text | None = None
    tokens: tuple[TokenId, ...] | None = Field(default=None, min_length=1, max_length=MOST_TOKENS)
    target: Token | None = None
    minus: Token | None = None
    family: Word | None = None
    condition: Word | None = None


class Item(Asked):
    """One prompt of a batch. `tokens` are those of the text too; they are missing where it could not be read."""

    row: int = Field(ge=1)  # the how-manieth of the file that was given
    key: Sha256

    @property
    def text(self) -> str:
        """For people."""
        return self.prompt if self.prompt is not None else " ".join(map(str, self.tokens or ()))


class TargetFigures(Part):
    token: str = Field(max_length=1_000)
    id: int | None
    probability: Number | None


class Scores(Part):
    replacement: Number
    completeness: Number
    strict_replacement: Number
    strict_completeness: Number


class Summary(Part):
    """What lists and scatter plots need of a graph, without reading it."""

    tokens: tuple[Annotated[str, Field(max_length=1_000)], ...] = Field(max_length=MOST_TOKENS)
    targets: tuple[TargetFigures, ...] = Field(max_length=10_000)
    scores: Scores
    n_nodes: int = Field(ge=0)
    row_error: Number


class Outcome(Part):
    """What became of one prompt."""

    status: Literal["done", "failed"]
    error: str | None = Field(default=None, max_length=10_000)  # one line, of a failed one
    seconds: Number = Field(ge=0)
    summary: Summary | None = None  # of one that is done


def summary(graph: tracer.Graph) -> Summary:
    scores = graph.scores()
    return Summary(
        tokens=tuple(graph.tokens),
        targets=tuple(TargetFigures(token=t.token, id=t.id, probability=t.probability) for t in graph.targets),
        scores=Scores(**{name: float(getattr(scores, name)) for name in Scores.model_fields}),
        n_nodes=graph.layout.n_nodes,
        row_error=graph.row_error,
    )


@dataclass(frozen=True)
class Folder:
    path: Path
    about: About

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """In the order of the given file. Raises TracerError for a table that is not one of items."""
        return tuple(_items(_all_of(self.path / _ITEMS, LONGEST_TABLE)))

    def outcome(self, key: str) -> Outcome | None:
        """None where there is none yet, or none that can be read: then the prompt is traced again."""
        path = self._result(key, "json")
        if not path.exists():
            return None
        try:
            return Outcome.model_validate_json(_all_of(path, _LONGEST_OUTCOME))
        except (ValidationError, tracer.TracerError) as problem:
            log.warning("%s is no result of a batch and counts as missing: %s", path.name, first_line(problem))
            return None

    def graph(self, key: str) -> tracer.Graph:
        """Raises TracerError for one that isn't there or isn't a graph."""
        return tracer.Graph.from_bytes(_all_of(self._result(key, "safetensors"), _LONGEST_GRAPH))

    def keep(self, key: str, graph: tracer.Graph, seconds: float) -> None:
        """Raises TracerError where the folder can't be written, as the next two do."""
        self.keep_bytes(key, graph.to_bytes(), summary(graph), seconds)

    def keep_bytes(self, key: str, graph: bytes, told: Summary, seconds: float) -> None:
        """A graph as `Graph.to_bytes` makes it, summed up by whoever made it."""
        _write(self._result(key, "safetensors"), graph)
        self._conclude(key, Outcome(status="done", seconds=seconds, summary=told))

    def fail(self, key: str, error: str, seconds: float) -> None:
        """`error`: one line that says what to do."""
        self._conclude(key, Outcome(status="failed", error=error[:10_000], seconds=seconds))

    def left(self) -> list[Item]:
        """The items without a graph, failed ones too; of several with one key the first."""
        missing: dict[str, Item] = {}
        for item in self.items:
            if item.key not in missing and not self._done(item.key):
                missing[item.key] = item
        return list(missing.values())

    def _done(self, key: str) -> bool:
        outcome = self.outcome(key)
        return outcome is not None and outcome.status == "done" and self._result(key, "safetensors").is_file()

    def _conclude(self, key: str, outcome: Outcome) -> None:
        _write(self._result(key, "json"), outcome.model_dump_json().encode())

    def _result(self, key: str, kind: str) -> Path:
        if len(key) != 64 or not set(key) <= set("0123456789abcdef"):  # a name of a file must come from nobody's text
            raise ValueError("this is no key of a graph")
        return self.path / _RESULTS / f"{key}.{kind}"


def create(path: Path, about: About, items: Iterable[Item]) -> Folder:
    """A batch in a new folder, or on top of the one that is there: its results stay, its prompts are these from now on.

    Raises TracerError where that is a batch of another model or of other settings, where the folder holds something
    else, and where it can't be written.
    """
    if (path / _HEAD).exists():
        there = read(path).about
        if not there.same_as(about):
            raise tracer.TracerError(
                f"{path} holds a batch of another model, engine or settings ({there.title}): give another --out"
            )
        about = about.model_copy(update={"created": there.created})
    elif path.is_dir() and {entry.name for entry in path.iterdir()} - {_ITEMS, _RESULTS}:
        raise tracer.TracerError(f"{path} is a folder of something else: give a new one")
    try:
        (path / _RESULTS).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise tracer.TracerError(f"can't write {path}: {first_line(problem)}; give another folder") from problem
    lines = (item.model_dump_json(exclude_none=True) + "\n" for item in items)
    _write(path / _ITEMS, "".join(lines).encode())
    _write(path / _HEAD, (about.model_dump_json(indent=2) + "\n").encode())
    return Folder(path, about)


def read(path: Path) -> Folder:
    """Raises TracerError, in one line, for what is no batch; its items are read when they are asked for."""
    try:
        return Folder(path, About.model_validate_json(_all_of(path / _HEAD, _LONGEST_ABOUT)))
    except ValidationError as problem:
        raise tracer.TracerError(f"{path.name}: {_HEAD} is not that of a batch ({first_fault(problem)})") from problem


def folders(home: Path, unread: list[str] | None = None) -> list[Folder]:
    """The batches under HOME/batches, newest first. `unread` is told of folders that are none, a line each."""
    found: list[Folder] = []
    place = home / "batches"
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        try:
            if path.is_dir():
                found.append(read(path))
        except tracer.TracerError as problem:
            if unread is not None:
                unread.append(str(problem))
    return sorted(found, key=lambda folder: folder.about.created.timestamp(), reverse=True)


def refused_key(told: str) -> str:
    """For a prompt that has no graph's key, as it can't be traced: of what was asked for."""
    return hashlib.sha256(f"refused {told}".encode()).hexdigest()


def _items(content: bytes) -> Iterator[Item]:
    lines = content.split(b"\n", MOST_ITEMS + 1)
    if len(lines) > MOST_ITEMS + 1:
        raise tracer.TracerError(f"{_ITEMS} has more than {MOST_ITEMS:,} lines, the most that a batch may have")
    for number, line in enumerate(lines, start=1):
        if line:
            try:
                yield Item.model_validate_json(line)
            except ValidationError as problem:
                raise tracer.TracerError(
                    f"{_ITEMS}: line {number} is no prompt of a batch ({first_fault(problem)})"
                ) from problem


def _all_of(path: Path, most: int) -> bytes:
    try:
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise tracer.TracerError(f"{path.name} of this batch is no file")
            content = file.read(most + 1)
    except OSError as problem:
        raise tracer.TracerError(f"can't read {path}: {first_line(problem)}; is it a batch?") from problem
    if len(content) > most:
        raise tracer.TracerError(f"{path.name} is longer than {most:,} bytes, the most that is read of it")
    return content


def _write(path: Path, content: bytes) -> None:
    making = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        making.write_bytes(content)
        os.replace(making, path)
    except OSError as problem:
        making.unlink(missing_ok=True)
        raise tracer.TracerError(
            f"can't write {path}: {first_line(problem)}; what is finished is kept, make room and run it again"
        ) from problem

"""What a list holds, as pydantic models: reading a file with them is the check."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tracer.errors import TracerError, first_fault
from tracer.steering.edits import parse_position

FOLDER = Path(__file__).parent


class Node(NamedTuple):
    layer: int
    position: int | slice
    feature: int


def _node(text: Any) -> Node:
    try:
        layer, position, feature = text.split("/")
        return Node(int(layer), parse_position(position), int(feature))
    except (AttributeError, ValueError):
        raise ValueError(f"{text!r} is not LAYER/POSITION/FEATURE like 13/-1/1012 or 20/6:8/341") from None


def _position(given: Any) -> int | slice:
    try:
        return given if type(given) is int else parse_position(given)
    except (TypeError, ValueError):
        raise ValueError(f"{given!r} is no position like 5, -1 or '6:8'") from None


Nodes = list[Annotated[Node, BeforeValidator(_node)]]
Position = Annotated[int | slice, BeforeValidator(_position)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]
Token = Annotated[str, Field(min_length=1)]
"""As the source prints it. With a space before it, just that token; without, the likeliest of those that differ in the
space alone."""


class Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, frozen=True)


class Elsewhere(Part):
    """Activations on another prompt, to be carried over."""

    prompt: str
    position: Position | None = None  # where they are read; None: where the features stand
    mean: bool = False  # over those positions


class Strongest(Part):
    """The n most influential features of the graph that explains the difference of two logits, a − b."""

    n: Annotated[int, Field(ge=1)]
    a: Token
    b: Token


class Intervention(Part):
    supernode: str | None = None
    features: Nodes | None = None
    strongest: Strongest | None = None
    at: Position | None = None  # where they are set; None: where the features stand
    value: Number | None = None
    factor: Number | None = None  # times the own activation, or the one elsewhere
    elsewhere: Elsewhere | None = None

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if sum(x is not None for x in (self.supernode, self.features, self.strongest)) != 1:
            raise ValueError("an intervention needs one of supernode, features and strongest")
        if (self.value is None) == (self.factor is None):
            raise ValueError("an intervention needs either a value or a factor")
        if self.elsewhere is not None and self.factor is None:
            raise ValueError("activations elsewhere need a factor")
        return self


class Sampled(Part):
    """Of n texts that are drawn, at least so many begin with one of these words."""

    n: Annotated[int, Field(ge=1, le=100)]
    temperature: Annotated[float, Field(gt=0, le=10)]
    begins: Annotated[list[Token], Field(min_length=1)]
    at_least: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if self.at_least > self.n:
            raise ValueError(f"of {self.n} texts {self.at_least} can't begin so")
        return self


class Outcome(Part):
    """What a run must give."""

    top: list[Token | tuple[Token, Probability]] = []  # the most likely token, then others; with figures where known
    text: Annotated[str, Field(min_length=1)] | None = None  # what greedy generation goes on with
    sampled: Sampled | None = None


class Gap(Part):
    of: tuple[Token, Token]  # logit of the first less that of the second
    becomes: Literal["wider", "narrower"]


class Changed(Outcome):
    not_top: list[Token] = []  # what was hoped for in vain
    rises: list[Token] = []
    falls: list[Token] = []
    gaps: list[Gap] = []
    delta: dict[Token, Number] = {}  # change of the logit less the mean logit, as measured
    predicted: dict[Token, Number] = {}  # the same, from the edges of the graph
    activity: dict[str, Number] = {}  # supernodes: mean over features of activation as a share of what it was


class Tolerance(Part):
    probability: Annotated[float, Field(gt=0, le=0.1)]
    logit: Annotated[float, Field(gt=0, le=1)] = 0.02
    activity: Annotated[float, Field(gt=0, le=0.5)] = 0.05


class Row(Part):
    id: str
    title: str
    claim: str
    negative: bool = False  # what was published is that this has no effect, or not the one hoped for
    note: str | None = None
    prompt: str | None = None
    tokens: list[int] | None = None
    interventions: list[Intervention] = []
    protocol: str = "clamp"
    layers: tuple[int, int] | None = None
    before: Outcome = Outcome()
    after: Changed = Changed()
    tolerance: Tolerance | None = None
    not_run: str | None = None  # why this can't be run at all yet

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if self.not_run is None and (self.prompt is None) == (self.tokens is None):
            raise ValueError(f"row {self.id} needs a prompt or tokens, one of the two")
        if self.after != Changed() and not self.interventions:
            raise ValueError(f"row {self.id} says what comes after, but has no interventions")
        if self.not_run is None and self.before == Outcome() and self.after == Changed():
            raise ValueError(f"row {self.id} expects nothing")
        return self


class Replications(Part):
    model: str
    features: str
    source: str  # where the figures are from
    tolerance: Tolerance
    supernodes: dict[str, Nodes] = {}
    homes: dict[str, Token] = {}  # supernodes whose activations count as whole on this prompt, not on the row's own
    rows: Annotated[list[Row], Field(min_length=1)]

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        ids = [row.id for row in self.rows]
        if repeated := [id for id in ids if ids.count(id) > 1]:
            raise ValueError(f"two rows are called {repeated[0]}")
        if strange := [name for name in self.homes if name not in self.supernodes]:
            raise ValueError(f"homes: there is no supernode {strange[0]!r}")
        for row in self.rows:
            used = [i.supernode for i in row.interventions if i.supernode is not None]
            if unknown := [name for name in (*used, *row.after.activity) if name not in self.supernodes]:
                raise ValueError(f"row {row.id}: there is no supernode {unknown[0]!r}")
        return self


def names() -> list[str]:
    """The lists that there are: names of presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(path: Path) -> Replications:
    """Raises TracerError, in one line, for a file that isn't a whole list."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Replications.model_validate_json(json.dumps(data, default=str))  # strict JSON: lists may be tuples
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise TracerError(f"can't read {path.name} ({' '.join(str(problem).split())}); correct it") from problem
    except ValidationError as problem:
        raise TracerError(f"{path.name} is no replication list ({first_fault(problem)}); correct it") from problem


def chosen(listing: Replications, only: Sequence[str]) -> list[Row]:
    """The rows of these ids, in the list's order; all if none is given. Raises TracerError for an id it hasn't."""
    ids = [row.id for row in listing.rows]
    if unknown := [id for id in only if id not in ids]:
        raise TracerError(f"the list has no row {unknown[0]!r}; it has {', '.join(ids)}")
    return [row for row in listing.rows if row.id in only or not only]

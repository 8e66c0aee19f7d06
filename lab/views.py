"""What the record gives out: plain values, read in one transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from lab.batch import BatchBody
from lab.bodies import CircuitBody, CommentBody, LabelBody, SteeringBody
from lab.hypothesis import HypothesisBody
from lab.roles import Role
from lab.runs.bodies import RunBody

Body = TypeVar("Body", CircuitBody, LabelBody, SteeringBody, HypothesisBody, RunBody, CommentBody, BatchBody)


@dataclass(frozen=True)
class Person:
    id: str
    name: str
    role: Role


@dataclass(frozen=True)
class About:
    """What a record speaks of: a feature of a basis, a graph, a node of it, or a hypothesis. The rest is None."""

    graph: str | None = None  # its key
    node: str | None = None  # its id in that graph
    model: str | None = None  # fingerprints
    basis: str | None = None
    layer: int | None = None
    feature: int | None = None
    hypothesis: str | None = None  # the hash of the version that a run is of; of a comment the record's id


@dataclass(frozen=True)
class Revision(Generic[Body]):
    record: str
    number: int  # 1, 2, …
    author: str  # name
    created: datetime  # UTC
    body: Body


@dataclass(frozen=True)
class Record(Generic[Body]):
    id: str
    kind: str
    owner: Person
    visibility: str  # private: the owner's alone; lab: everybody's
    about: About
    created: datetime
    deleted: datetime | None
    head: Revision[Body]  # the latest

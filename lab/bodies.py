"""What a revision holds, as JSON. Everything that people or files give passes through these models.

Texts are hostile: they are bounded here, and shown as text by those who show them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tracer.steering.edits import LARGEST

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\r\n\x00]*$")]
Prose = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")]
NodeId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Share = Annotated[float, Field(ge=0, le=1)]

Number = Annotated[float, Field(allow_inf_nan=False)]
MOST_NODES = 5_000
MOST_TOKENS = 20_000

Layer = Annotated[int, Field(ge=0, lt=10_000)]
Position = Annotated[int, Field(ge=0, lt=MOST_TOKENS)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelBody(Part):
    """What a person calls a feature, everywhere or in one graph."""

    text: Line


MOST_COMMENT = 2_000  # characters


class CommentBody(Part):
    """What a person says of a hypothesis. It stays as it was said; who said it can take it away."""

    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MOST_COMMENT, pattern=r"^[^\x00]*$")
    ]


class Group(Part):
    """A supernode: some pinned nodes under one name."""

    name: Line
    nodes: tuple[NodeId, ...] = Field(min_length=1, max_length=MOST_NODES)


class CircuitBody(Part):
    """The subgraph that a person made of one attribution graph, and how they looked at it."""

    title: Line
    prompt: Prose = ""  # of the graph: to trace it again where it is not kept
    pins: tuple[NodeId, ...] = Field(default=(), max_length=MOST_NODES)  # in the order in which they were pinned
    groups: tuple[Group, ...] = ()
    notes: Prose = ""
    node_threshold: Share = 0.8
    edge_threshold: Share = 0.98
    selection: NodeId | None = None
    positions: dict[str, tuple[float, float]] = Field(default_factory=dict)  # of nodes and groups in the circuit view

    @model_validator(mode="after")
    def _each_node_once(self) -> "CircuitBody":
        members = [node for group in self.groups for node in group.nodes]
        if len(set(self.pins)) < len(self.pins) or len(set(members)) < len(members):
            raise ValueError("a node is pinned once, and is in one group at most")
        if not set(members) <= set(self.pins):
            raise ValueError("a group holds pinned nodes only")
        return self


class SteeredNode(Part):
    """A feature at a token of the prompt."""

    layer: Layer
    position: Position
    feature: Annotated[int, Field(ge=0)]


class SteeredDonor(Part):
    """Another prompt, whose activations a row takes over."""

    prompt: Prose = ""
    tokens: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=MOST_TOKENS)
    positions: tuple[tuple[Position, Position], ...] = ()  # (a node's here, the one that stands for it there)


class SteeredRow(Part):
    """A feature or a supernode that is set, as one."""

    name: Line
    nodes: tuple[SteeredNode, ...] = Field(min_length=1, max_length=MOST_NODES)
    unit: Literal["factor", "value", "maximum", "donor"] = "factor"
    # × own activation; the activation; own + × the maximum; × the activation on another prompt
    amount: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] = 0.0
    donor: SteeredDonor | None = None
    where: Literal["own", "range", "onward", "last", "generated"] = "own"
    # each feature at its own token; all of them from start to end; from start, or their own, on; the last; generated
    start: Position | None = None
    end: Position | None = None  # included
    on: bool = True

    @model_validator(mode="before")
    @classmethod
    def _as_first_saved(cls, data: Any) -> Any:
        """Runs saved before there was `where` said `onward`."""
        if isinstance(data, dict) and "onward" in data:
            onward = data["onward"]
            data = {name: value for name, value in data.items() if name != "onward"}
            if onward:
                data = {"where": "onward"} | data
        return data

    @model_validator(mode="after")
    def _range(self) -> "SteeredRow":
        if self.where == "range" and (self.start is None or self.end is None or self.start > self.end):
            raise ValueError("a range goes from a token to the same or a later one")
        return self


class ControlsBody(Part):
    kind: Line
    n: Annotated[int, Field(ge=0, le=10_000)]
    seed: Annotated[int, Field(ge=0)]


class SteeringBody(Part):
    """A steering run: everything that is needed to run it again, and the figures that it gave."""

    title: Line
    prompt: Prose = ""
    tokens: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=MOST_TOKENS)
    model: Line
    features: Annotated[str, StringConstraints(max_length=300)] = ""  # the set by its name; older runs have none
    model_fingerprint: Line
    basis_fingerprint: Line
    rows: tuple[SteeredRow, ...] = Field(default=(), max_length=MOST_NODES)
    protocol: Literal["direct", "constrained", "clamp", "free"] = "clamp"
    layers: tuple[Layer, Layer] | None = None
    follow: int | None = None  # the token whose logit is followed
    controls: ControlsBody | None = None
    figures: dict[str, Number] = Field(default_factory=dict)  # of the run when it was saved

"""The frontend's graph file as pydantic models: reading a file with them is the schema check.

They are Neuronpedia's schema (study/neuronpedia.md §2.1), which circuit-tracer's files obey (study/circuit-tracer.md
§5). Unknown fields pass, as there. `Exported` adds what that schema leaves out and the page needs (§2.2 there).
"""

import re
from collections import Counter
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, model_validator

from tracer.errors import TracerError, first_fault

FEATURE = "cross layer transcoder"  # per-layer transcoders and neurons too
ERROR = "mlp reconstruction error"
EMBEDDING = "embedding"
LOGIT = "logit"

Number = Annotated[float, Field(allow_inf_nan=False)]
Position = Annotated[int, Field(ge=0, lt=2**31)]
FeatureNumber = Annotated[int, Field(ge=-1, lt=2**63)]


class Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class Generator(Part):
    name: str | None = None


class Info(Part):
    generator: Generator | None = None
    neuronpedia_source_set: str | None = None  # what Neuronpedia files the graph under
    description: str | None = None
    creator_name: str | None = None


class FeatureDetails(Part):
    neuronpedia_source_set: str | None = None  # where it looks for the features' dashboards


class PruningSettings(Part):
    node_threshold: Number | None = None
    edge_threshold: Number | None = None


class Metadata(Part):
    slug: str
    scan: str  # says what the feature numbers count: a transcoder set, or Neuronpedia's name of the model
    transcoder_list: list[str] = []
    prompt_tokens: list[str]
    prompt: str
    node_threshold: Number | None = None
    schema_version: int | None = None
    generation_settings: dict[str, Any] | None = None
    pruning_settings: PruningSettings | None = None
    feature_details: FeatureDetails | None = None
    info: Info | None = None
    model: str | None = None  # ours, like the next three; the schema lets them pass
    features: str | None = None
    licence: str | None = None
    notice: str | None = None


class QParams(Part):
    """What the page shows at first. The older frontend writes `pinnedIds` as one string, with commas."""

    pinnedIds: list[str] | str = []
    supernodes: list[list[str]] = []  # label, id, id, …
    linkType: str | None = "both"
    clickedId: str | None = ""
    sg_pos: str | None = ""


class Node(Part):
    node_id: str
    feature: FeatureNumber | None
    layer: str | int  # "E" for embeddings
    ctx_idx: Position
    feature_type: str
    token_prob: Number | None = None
    is_target_logit: bool | None = None
    run_idx: int | None = None
    reverse_ctx_idx: int | None = None
    jsNodeId: str
    clerp: str  # a label
    influence: Number | None = None  # the cumulative score
    activation: Number | None = None


class Link(Part):
    source: str
    target: str
    weight: Number


class File(Part):
    metadata: Metadata
    qParams: QParams
    nodes: Annotated[list[Node], FailFast()]
    links: Annotated[list[Link], FailFast()]

    def unknown_fields(self) -> dict[str, int]:
        """How many fields that the schema doesn't name, by where they are."""
        places: dict[str, list[Part]] = {
            "the file": [self],
            "metadata": [self.metadata],
            "qParams": [self.qParams],
            "nodes": [*self.nodes],
            "links": [*self.links],
        }
        return {place: sum(len(part.model_extra or ()) for part in parts) for place, parts in places.items()}


class Exported(File):
    """A file that both frontends open."""

    @model_validator(mode="after")
    def opens(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", self.metadata.slug):
            raise ValueError(
                f"the slug {self.metadata.slug!r} may hold letters, digits, dots, dashes and underscores only"
            )
        ids = Counter(node.node_id for node in self.nodes)
        repeated = [name for name, count in ids.items() if count > 1]
        if repeated:
            raise ValueError(f"two nodes are called {repeated[0]}")
        ends = {end for link in self.links for end in (link.source, link.target)}
        shown = {name for _, *names in self.qParams.supernodes for name in names} | {*self.qParams.pinnedIds}
        missing = sorted((ends | shown) - set(ids))
        if missing:
            raise ValueError(f"there is no node {missing[0]}")
        for node in self.nodes:
            if node.feature is None or (node.feature_type == LOGIT and node.token_prob is None):
                raise ValueError(f"node {node.node_id} has no number")
            if node.feature_type == LOGIT and not re.search(r"\(p=\d\.\d+\)", node.clerp):
                raise ValueError(f"the label of {node.node_id} says no probability: {node.clerp!r}")
        if not any(node.feature_type != LOGIT and node.layer not in ("E", "0", 0) for node in self.nodes):
            raise ValueError("no node above layer 0 is kept, which Neuronpedia can't show; raise the thresholds")
        return self


def parse(data: bytes) -> File:
    """Raises TracerError, with the first fault, for data that the schema refuses."""
    try:
        return File.model_validate_json(data)
    except ValidationError as problem:
        raise TracerError(
            f"this is no graph in the frontend's format ({first_fault(problem)}); export it again"
        ) from problem


def check(data: bytes) -> None:
    """Raises TracerError for a file of ours that a frontend would not open."""
    try:
        Exported.model_validate_json(data)
    except ValidationError as problem:
        raise TracerError(f"the frontend could not show this graph: {first_fault(problem)}") from problem

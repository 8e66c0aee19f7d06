"""A graph as a file: safetensors with a JSON header. Reading runs no code and believes nothing: files are anybody's."""

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load, save
from scipy import sparse

from tracer.errors import TracerError
from tracer.graph.dropped import Dropped
from tracer.graph.layout import Layout

if TYPE_CHECKING:
    from tracer.graph.graph import Graph


_ENVELOPE = TypeAdapter(dict[str, Any])  # the header of any safetensors file


@dataclass(frozen=True)
class Target:
    """A logit that a graph explains. `id` and `probability` are None for a difference.

    `value` is None in a graph from another program: it has no bias nodes, so what its rows should sum to isn't known.
    """

    token: str
    id: int | None
    probability: float | None
    weight: float  # in influence and scores
    value: float | None  # what its row sums to


class Meta(BaseModel):
    """Where a graph comes from: what every reader relies on. More may be there."""

    model_config = ConfigDict(extra="allow")

    prompt: str
    tokens: list[str]
    model: str
    features: str
    model_fingerprint: str
    excluded: list[int]
    n_active: int | None  # None where a file from another program doesn't say


class Header(BaseModel):
    format: Literal[1]
    n_layers: int = Field(ge=1, le=1000)
    targets: list[Target]
    meta: Meta
    dropped_mass: float | None = None


def to_bytes(graph: "Graph") -> bytes:
    layout = graph.layout
    header = {
        "format": 1,
        "n_layers": layout.n_layers,
        "targets": [vars(t) for t in graph.targets],
        "meta": graph.meta,
    }
    arrays = {
        "layer": layout.layer.astype(np.int16),
        "position": layout.position.astype(np.int32),
        "feature": layout.feature.astype(np.int32),
        "activation": graph.activation,
        "token_ids": np.array(graph.token_ids, dtype=np.int32),
        "indptr": graph.adjacency.indptr.astype(np.int64),
        "indices": graph.adjacency.indices.astype(np.int32),
        "data": graph.adjacency.data,
    }
    if graph.dropped is not None:
        dropped = graph.dropped
        arrays |= {
            "dropped_features": dropped.features.astype(np.int32),
            "dropped_activation": dropped.activation,
            "dropped_indptr": dropped.cells.indptr.astype(np.int64),
            "dropped_indices": dropped.cells.indices.astype(np.int32),
            "dropped_data": dropped.cells.data,
        }
        header["dropped_mass"] = dropped.mass
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return save(tensors, metadata={"hypograph": json.dumps(header)})


def from_bytes(data: bytes) -> dict[str, Any]:
    """The arguments of `Graph`. Raises TracerError for data that isn't a whole graph of this format."""
    try:
        size = int.from_bytes(data[:8], "little")
        header = Header.model_validate_json(_ENVELOPE.validate_json(data[8 : 8 + size])["__metadata__"]["hypograph"])
        return _parts(header, {name: tensor.numpy() for name, tensor in load(data).items()})
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError) as problem:
        reason = (str(problem).splitlines() or [""])[0]
        raise TracerError(f"this is not a readable graph file ({reason}); trace the prompt again") from problem


def _parts(header: Header, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Raises ValueError where the parts don't fit together."""
    layer, position, feature = (arrays[name].astype(np.int64) for name in ("layer", "position", "feature"))
    n_tokens = len(arrays["token_ids"])
    for name, values, end in (("layer", layer, header.n_layers), ("position", position, n_tokens)):
        if len(values) and not 0 <= values.min() <= values.max() < end:
            raise ValueError(f"a {name} is out of range")
    if not len(layer) == len(position) == len(feature) == len(arrays["activation"]):
        raise ValueError("its features have different lengths")
    if not header.targets or len(header.meta.tokens) != n_tokens:
        raise ValueError("its tokens or targets are missing")
    if (np.lexsort((feature, position, layer)) != np.arange(len(layer))).any():
        raise ValueError("its features are out of order")
    layout = Layout(layer, position, feature, header.n_layers, n_tokens, len(header.targets))
    if arrays["activation"].dtype != np.float32:
        raise ValueError("its activations are not float32")
    return {
        "layout": layout,
        "activation": arrays["activation"],
        "targets": header.targets,
        "adjacency": _matrix(arrays, "", (layout.n_nodes, layout.n_nodes)),
        "dropped": None if header.dropped_mass is None else _dropped(layout, arrays, header.dropped_mass),
        "token_ids": arrays["token_ids"].tolist(),
        "meta": header.meta.model_dump(),
    }


def _dropped(layout: Layout, arrays: dict[str, np.ndarray], mass: float) -> Dropped:
    features, activation = arrays["dropped_features"].astype(np.int64), arrays["dropped_activation"]
    if features.shape != (len(activation), 3) or activation.dtype != np.float32:
        raise ValueError("what it dropped has different lengths")
    cells = _matrix(arrays, "dropped_", (layout.n_nodes, layout.n_layers * layout.n_tokens))
    return Dropped(features, activation, cells, mass)


def _matrix(arrays: dict[str, np.ndarray], prefix: str, shape: tuple[int, int]) -> sparse.csr_array:
    data, indices, indptr = (arrays[prefix + name] for name in ("data", "indices", "indptr"))
    matrix = sparse.csr_array((data, indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    if matrix.dtype != np.float32 or not np.isfinite(matrix.data).all():
        raise ValueError("its numbers are not finite float32")
    return matrix

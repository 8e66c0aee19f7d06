"""What the MLP of one layer writes to the stream, taken apart: features, error, constants, and a linear skip."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tracer.features.basis import Encoding, FeatureSet
from tracer.features.points import Skip
from tracer.model.record import Record


@dataclass
class Sources:
    """`vectors` (m, D) of the features that write here, sorted by position; `columns` (m,) which features those are."""

    layer: int
    vectors: Tensor
    columns: Tensor
    held: list[tuple[int, slice]]  # positions with features, and where those lie in `vectors`
    errors: Tensor  # (T, D), zero at excluded positions
    constant: Tensor | None  # (T, D): b_dec, and the whole output at excluded positions, a skip's share left out
    skip: Skip | None


def all_sources(record: Record, encoding: Encoding, features: FeatureSet, excluded: list[int]) -> list[Sources]:
    """Of each layer. `features` are sorted by (layer, position, feature)."""
    return [
        _sources(layer, vectors, record, encoding, features, excluded)
        for layer, vectors in enumerate(encoding.written(features))
    ]


def _sources(
    layer: int, vectors: Tensor, record: Record, encoding: Encoding, features: FeatureSet, excluded: list[int]
) -> Sources:
    end = features.span(layer).stop
    columns = torch.arange(end - len(vectors), end, device=vectors.device)
    position = features.position[columns]
    if encoding.cross_layer:  # several layers write here, each sorted by position
        order = position.argsort(stable=True)
        vectors, columns, position = vectors[order], columns[order], position[order]
    output, constant, skip = record.mlp_output[layer], encoding.constant(layer), encoding.skip(layer)
    if skip is not None:
        output = output - skip.forward(record.mlp_stream[layer], slice(None))
    errors = (output if constant is None else output - constant).index_add(0, position, vectors, alpha=-1)
    errors[excluded] = 0
    if excluded:
        constant = torch.zeros_like(output) if constant is None else constant.clone()
        constant[excluded] = output[excluded]
    held, counts = torch.unique_consecutive(position, return_counts=True)
    ends = counts.cumsum(0).tolist()
    spans = [slice(end - n, end) for end, n in zip(ends, counts.tolist(), strict=True)]
    return Sources(layer, vectors, columns, list(zip(held.tolist(), spans, strict=True)), errors, constant, skip)

"""What is written to the stream, taken apart: a vector for each node that writes, at each layer and at the bottom."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tracer.features.basis import Encoding, FeatureSet
from tracer.features.points import Skip
from tracer.graph.layout import Layout
from tracer.model.record import Record

PADDING, GPU_PADDING = 0.5, 4.0
"""Where this share of zeros makes them as many at each position, vectors are multiplied at all positions at once. On a
GPU each product takes time to start."""


@dataclass
class Sources:
    """`vectors` (m, D) that are written at one place, sorted by position, and whose they are: `nodes` (m,).

    Zeros that were added belong to the node after the last.
    """

    vectors: Tensor
    nodes: Tensor
    ends: list[int]  # (T + 1): where the vectors of each position begin, and the last end
    each: int | None  # vectors at every position, where it is the same number
    constant: Tensor | None = None  # (T, D): b_dec, and the whole output at excluded positions, a skip's share left out
    skip: Skip | None = None


def all_sources(
    record: Record, encoding: Encoding, features: FeatureSet, excluded: list[int], layout: Layout
) -> list[Sources]:
    """Of each layer's MLP. `features` are sorted by (layer, position, feature)."""
    return [
        _of_mlp(layer, vectors, record, encoding, features, excluded, layout)
        for layer, vectors in enumerate(encoding.written(features))
    ]


def embeddings(record: Record, layout: Layout) -> Sources:
    """Of the tokens, and of what learned positions add."""
    position = torch.arange(record.n_tokens, device=record.embedding.device)
    parts = [(record.embedding, layout.first_embedding + position, position)]
    if record.positions is not None:
        parts.append((record.positions, torch.full_like(position, layout.bias(-1)), position))
    return _by_position(parts, layout)


def _of_mlp(
    layer: int,
    vectors: Tensor,
    record: Record,
    encoding: Encoding,
    features: FeatureSet,
    excluded: list[int],
    layout: Layout,
) -> Sources:
    """Features (those of this layer; if they write across layers, all up to its end), errors, and the constant."""
    end = features.span(layer).stop
    nodes = torch.arange(end - len(vectors), end, device=vectors.device)
    output, constant, skip = record.mlp_output[layer], encoding.constant(layer), encoding.skip(layer)
    if skip is not None:
        output = output - skip.forward(record.mlp_stream[layer], slice(None))
    errors = (output if constant is None else output - constant).index_add(
        0, features.position[nodes], vectors, alpha=-1
    )
    everywhere = torch.arange(record.n_tokens, device=vectors.device)
    silent = torch.tensor(excluded, dtype=torch.int64, device=vectors.device)
    counted = everywhere[~torch.isin(everywhere, silent)]
    parts = [
        (vectors, nodes, features.position[nodes]),
        (errors[counted], layout.first_error + layer * layout.n_tokens + counted, counted),
    ]
    if excluded:
        constant = torch.zeros_like(output) if constant is None else constant.clone()
        constant[excluded] = output[excluded]
    if constant is not None:
        parts.append((constant, torch.full_like(everywhere, layout.bias(layer)), everywhere))
    sources = _by_position(parts, layout)
    sources.constant, sources.skip = constant, skip
    return sources


def _by_position(parts: list[tuple[Tensor, Tensor, Tensor]], layout: Layout) -> Sources:
    """Of vectors, their nodes and their positions."""
    vectors, nodes, position = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    order = position.argsort(stable=True)
    vectors, nodes, position = vectors[order], nodes[order], position[order]
    counts = torch.bincount(position, minlength=layout.n_tokens)
    most, begins = int(counts.max()), counts.cumsum(0) - counts
    padding = GPU_PADDING if vectors.is_cuda else PADDING
    if most * layout.n_tokens > (1 + padding) * len(nodes):
        return Sources(vectors, nodes, [*begins.tolist(), len(nodes)], None)
    place = position * most + torch.arange(len(nodes), device=nodes.device) - begins[position]
    padded = vectors.new_zeros(layout.n_tokens * most, vectors.shape[1]).index_copy_(0, place, vectors)
    owners = torch.full((layout.n_tokens * most,), layout.n_nodes, device=nodes.device).index_copy_(0, place, nodes)
    return Sources(padded, owners, list(range(0, len(owners) + 1, most)), most)

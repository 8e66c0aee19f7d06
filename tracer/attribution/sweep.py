"""The linear replay: every direct effect between nodes, in one pass from the top layer down (DESIGN §3).

A group holds targets at one position, no more than the cache has room for, so that their gradients have one shape; it
goes through all layers before the next one starts. Its rows go from the top layer down, so that the targets present at
any moment are its first ones.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tracer.attribution.frozen import FirstPosition, FrozenAttention
from tracer.attribution.targets import LogitTarget
from tracer.errors import Progress
from tracer.features.basis import Encoding, FeatureSet
from tracer.graph.layout import Layout
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record

BLOCK = 4096
"""Gradient vectors of one group: few enough for the cache to hold what a layer makes of them."""


@torch.no_grad()
def sweep(
    anatomy: Anatomy,
    record: Record,
    encoding: Encoding,
    features: FeatureSet,
    targets: list[LogitTarget],
    excluded: list[int],
    progress: Progress,
) -> sparse.csr_array:
    """The adjacency matrix (n, n) of these features, float32: row = target, column = source, in `Layout` order."""
    n_layers = len(anatomy.layers)
    layout = make_layout(features, n_layers, record.n_tokens, len(targets))
    attentions = [FrozenAttention(anatomy, record, layer) for layer in range(n_layers)]
    first = first_position(excluded, record.n_tokens)
    streams = FirstPosition(attentions, record) if first else None
    sources = [_sources(layer, record, encoding, features, first, excluded) for layer in range(n_layers)]
    directions = torch.stack([t.direction for t in targets]) * record.final_gain
    groups = _groups(layout, first)
    work = np.cumsum([0] + [len(rows) * (position + 1) for position, rows in groups])
    pieces = []
    for i, (position, rows) in enumerate(groups):
        group = Group(layout, position, rows, record.embedding.device, anatomy.d_model, first)
        logits = group.entering(n_layers)
        group.add(directions[logits - layout.first_logit])
        for layer in reversed(range(n_layers)):
            _read_edges(group, sources[layer])
            _add_features(group, encoding, features, layer)
            _through_attention(group, attentions[layer], streams, layer)
            passed = work[i] + (n_layers - layer) / n_layers * (work[i + 1] - work[i])
            progress("sweep", float(passed / work[-1]))
        group.edges[:, group.embeddings] = _dot(group.gradient, record.embedding[group.reach])
        pieces.append((group.rows, group.matrix(layout.n_nodes)))
    return _assemble(pieces, layout.n_nodes)


def first_position(excluded: list[int], n_tokens: int) -> int:
    """1 where position 0 is excluded, unless it is all there is: the only target then lies there."""
    return 1 if 0 in excluded and n_tokens > 1 else 0


def make_layout(features: FeatureSet, n_layers: int, n_tokens: int, n_targets: int) -> Layout:
    layer, position, feature = (x.cpu().numpy() for x in (features.layer, features.position, features.feature))
    return Layout(layer, position, feature, n_layers, n_tokens, n_targets)


def _groups(layout: Layout, first: int) -> list[tuple[int, np.ndarray]]:
    """Positions, and at most BLOCK / width targets there, logits first, then from the top layer down."""
    position = np.concatenate([layout.position, np.full(layout.n_targets, layout.n_tokens - 1)])
    layer = np.concatenate([layout.layer, np.full(layout.n_targets, layout.n_layers)])
    node = np.concatenate([np.arange(layout.n_features), layout.first_logit + np.arange(layout.n_targets)])
    groups = []
    for here in np.unique(position):
        at = np.flatnonzero(position == here)
        rows = node[at[np.argsort(-layer[at], kind="stable")]]
        size = max(1, BLOCK // (int(here) + 1 - first))
        groups += [(int(here), rows[start : start + size]) for start in range(0, len(rows), size)]
    return groups


class Group:
    """Targets at one position, and their edges as they come in.

    Columns of `edges`: features at positions ≤ this one, errors (layer-major), embeddings, bias nodes.
    """

    def __init__(
        self, layout: Layout, position: int, rows: np.ndarray, device: torch.device, d_model: int, first: int
    ) -> None:
        self.position, self.rows, self.first = position, rows, first
        self.layers = layout.node_layer[rows]
        visible = layout.position <= position
        width = position + 1
        self.n_features = int(visible.sum())
        self.first_embedding = self.n_features + layout.n_layers * width
        self.columns = np.concatenate(
            [
                np.flatnonzero(visible),
                layout.error(np.arange(layout.n_layers)[:, None], np.arange(width)).ravel(),
                layout.first_embedding + np.arange(width),
                np.arange(layout.first_bias, layout.n_nodes),
            ]
        )
        self.first_column = np.append(0, visible.cumsum())[layout.layer_starts]  # of each layer's features
        self.gradient = torch.zeros(len(rows), width - first, d_model, device=device)
        self.edges = torch.zeros(len(rows), len(self.columns), device=device)
        self.present = 0  # targets whose layer the sweep has passed

    @property
    def reach(self) -> slice:
        """The positions of `gradient`."""
        return slice(self.first, self.position + 1)

    @property
    def embeddings(self) -> slice:
        return slice(self.first_embedding + self.first, self.first_embedding + self.position + 1)

    def errors(self, layer: int) -> slice:
        start = self.n_features + layer * (self.position + 1)
        return slice(start + self.first, start + self.position + 1)

    def bias(self, layer: int) -> int:
        """−1: embed; L: final."""
        return self.first_embedding + self.position + 2 + layer

    def entering(self, layer: int) -> np.ndarray:
        """The nodes of the targets that read at this layer."""
        return self.rows[self.layers == layer]

    def add(self, read: Tensor) -> slice:
        """Let further targets enter, with read vectors (n, D) at the stream. Returns their rows."""
        rows = slice(self.present, self.present + len(read))
        self.gradient[rows, -1] = read
        self.present = rows.stop
        return rows

    def matrix(self, n_nodes: int) -> sparse.csr_array:
        """The group's rows over all nodes. What no target sees is exactly zero, and left out."""
        own = sparse.csr_array(self.edges.cpu().numpy())
        return sparse.csr_array((own.data, self.columns[own.indices], own.indptr), shape=(len(self.rows), n_nodes))


@dataclass
class Sources:
    """What the MLP of one layer writes, at the stream."""

    layer: int
    held: list[tuple[int, slice]]  # positions with features, and where those lie in `vectors`
    vectors: Tensor  # (m, D), of this layer's features: write vector × activation
    errors: Tensor  # (T, D), zero at excluded positions
    constant: Tensor | None  # (T, D): b_dec, and the whole output at excluded positions


def _sources(
    layer: int, record: Record, encoding: Encoding, features: FeatureSet, first: int, excluded: list[int]
) -> Sources:
    span = features.span(layer)
    position = features.position[span]
    vectors = encoding.write(layer, position, features.feature[span])
    output, constant = record.mlp_output[layer], encoding.constant(layer)
    errors = (output if constant is None else output - constant).index_add(0, position, vectors, alpha=-1)
    errors[excluded] = 0
    outside = [p for p in excluded if p >= first]
    if outside:
        constant = torch.zeros_like(output) if constant is None else constant.clone()
        constant[outside] = output[outside]
    held, counts = torch.unique_consecutive(position, return_counts=True)  # within a layer, positions are sorted
    ends = counts.cumsum(0).tolist()
    spans = [slice(end - n, end) for end, n in zip(ends, counts.tolist(), strict=True)]
    return Sources(layer, list(zip(held.tolist(), spans, strict=True)), vectors, errors, constant)


def _read_edges(group: Group, sources: Sources) -> None:
    """An edge is the target's gradient at the source's write point · write vector × activation."""
    if not group.present:
        return
    gradient, edges = group.gradient[: group.present], group.edges[: group.present]
    column = group.first_column[sources.layer]
    for position, span in sources.held:
        if position <= group.position:
            products = gradient[:, position - group.first] @ sources.vectors[span].T
            edges[:, column + span.start : column + span.stop] = products
    edges[:, group.errors(sources.layer)] = _dot(gradient, sources.errors[group.reach])
    if sources.constant is not None:
        edges[:, group.bias(sources.layer)] += _dot(gradient, sources.constant[group.reach]).sum(1)


def _dot(gradient: Tensor, written: Tensor) -> Tensor:
    """(n, positions, D) · (positions, D) → (n, positions)."""
    return (gradient * written).sum(-1)


def _add_features(group: Group, encoding: Encoding, features: FeatureSet, layer: int) -> None:
    """Only now, after reading off: a feature doesn't see what its own layer writes."""
    nodes = torch.from_numpy(group.entering(layer)).to(group.edges.device)
    if len(nodes):
        read, own = encoding.read(layer, features.position[nodes], features.feature[nodes])
        rows = group.add(read)
        group.edges[rows, group.bias(layer)] += own


def _through_attention(group: Group, attention: FrozenAttention, streams: FirstPosition | None, layer: int) -> None:
    if not group.present:
        return
    gradient, edges = group.gradient[: group.present], group.edges[: group.present]
    constant = attention.written_constant(group.reach)
    if constant is not None:
        edges[:, group.bias(layer)] += _dot(gradient, constant).sum(1)
    branch, at_first = attention.transpose(gradient, group.first)
    gradient += branch
    if streams is not None:
        offered = at_first @ streams.values[layer].T
        edges[:, group.first_embedding] += offered[:, 0]
        edges[:, group.bias(0) : group.bias(layer)] += offered[:, 1:]


def _assemble(groups: list[tuple[np.ndarray, sparse.csr_array]], n_nodes: int) -> sparse.csr_array:
    """Put the rows of all groups in node order; nodes that are no targets have empty rows."""
    rows = np.concatenate([rows for rows, _ in groups])
    stacked = sparse.vstack([matrix for _, matrix in groups], format="csr")[np.argsort(rows)]
    lengths = np.zeros(n_nodes, dtype=np.int64)
    lengths[np.sort(rows)] = np.diff(stacked.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_array((stacked.data, stacked.indices.astype(np.int32), indptr), shape=(n_nodes, n_nodes))

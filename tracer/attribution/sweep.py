"""The linear replay: every direct effect between nodes, in one pass from the top layer down (DESIGN §3).

Targets at the same position form a group: their gradients have one shape and never meet those of another group. A
group's rows go from the top layer down, so that the targets present at any moment are its first ones.
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

GRADIENT_BYTES = 1 << 30
"""Groups are swept together as long as their gradients fit in this much memory."""

SLOTS = 16
"""Sources a position in one batched product; positions with more take part in further ones."""


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
    chunks = _chunks(layout, first, anatomy.d_model)
    pieces = []
    for done, chunk in enumerate(chunks):
        groups = [Group(layout, position, record.embedding.device, anatomy.d_model, first) for position in chunk]
        if groups[-1].position == record.n_tokens - 1:
            groups[-1].add(torch.stack([t.direction for t in targets]) * record.final_gain)
        for layer in reversed(range(n_layers)):
            sources = _sources(layer, record, encoding, features, first, excluded)
            for group in groups:
                _read_edges(group, sources)
                _add_features(group, encoding, features, layer)
                _through_attention(group, attentions[layer], streams, layer)
                progress("sweep", (done + (n_layers - layer - 1) / n_layers) / len(chunks))
        for group in groups:
            group.edges[:, group.embeddings] = torch.einsum("npd,pd->np", group.gradient, record.embedding[group.reach])
            pieces.append((group.rows, group.matrix(layout.n_nodes)))
    progress("sweep", 1.0)
    return _assemble(pieces, layout.n_nodes)


def first_position(excluded: list[int], n_tokens: int) -> int:
    """1 where position 0 is excluded, unless it is all there is: the only target then lies there."""
    return 1 if 0 in excluded and n_tokens > 1 else 0


def make_layout(features: FeatureSet, n_layers: int, n_tokens: int, n_targets: int) -> Layout:
    layer, position, feature = (x.cpu().numpy() for x in (features.layer, features.position, features.feature))
    return Layout(layer, position, feature, n_layers, n_tokens, n_targets)


class Group:
    """The targets at one position, and their edges as they come in.

    Columns of `edges`: features at positions ≤ this one, errors (layer-major), embeddings, bias nodes.
    """

    def __init__(self, layout: Layout, position: int, device: torch.device, d_model: int, first: int) -> None:
        self.position, self.first = position, first
        rows = np.flatnonzero(layout.position == position)
        self.rows = rows[np.argsort(-layout.layer[rows], kind="stable")]
        if position == layout.n_tokens - 1:
            self.rows = np.concatenate([np.arange(layout.first_logit, layout.first_bias), self.rows])
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
        self.local = torch.from_numpy(np.cumsum(visible) - 1).to(device)  # feature node → column of `edges`
        self.gradient = torch.zeros(len(self.rows), width - first, d_model, device=device)
        self.edges = torch.zeros(len(self.rows), len(self.columns), device=device)
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


def _chunks(layout: Layout, first: int, d_model: int) -> list[list[int]]:
    """Positions that have targets, cut where their gradients would pass the memory limit."""
    counts = np.bincount(layout.position, minlength=layout.n_tokens)
    counts[-1] += layout.n_targets
    chunks: list[list[int]] = []
    filled = GRADIENT_BYTES
    for position in np.flatnonzero(counts):
        size = 4 * int(counts[position]) * (int(position) + 1 - first) * d_model
        if filled + size > GRADIENT_BYTES:
            chunks.append([])
            filled = 0
        chunks[-1].append(int(position))
        filled += size
    return chunks


@dataclass
class Sources:
    """What the MLP of one layer writes, at the stream."""

    tiers: list[tuple[Tensor, Tensor, Tensor]]  # positions (m,), vectors (m, D, SLOTS), feature nodes or −1 (m, SLOTS)
    errors: Tensor  # (T, D), zero at excluded positions
    constant: Tensor | None  # (T, D): b_dec, and the whole output at excluded positions
    layer: int


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
    node = torch.arange(span.start, span.stop, device=position.device)
    rank = node - span.start - torch.searchsorted(position, position)  # within a layer, positions are sorted
    tiers = []
    for low in range(0, int(rank.max()) + 1 if len(rank) else 0, SLOTS):
        inside = (rank >= low) & (rank < low + SLOTS)
        held, row = torch.unique_consecutive(position[inside], return_inverse=True)
        block = vectors.new_zeros(len(held), SLOTS, vectors.shape[1])
        index = node.new_full((len(held), SLOTS), -1)
        block[row, rank[inside] - low] = vectors[inside]
        index[row, rank[inside] - low] = node[inside]
        tiers.append((held, block.transpose(1, 2).contiguous(), index))
    return Sources(tiers, errors, constant, layer)


def _read_edges(group: Group, sources: Sources) -> None:
    """An edge is the target's gradient at the source's write point · write vector × activation."""
    if not group.present:
        return
    gradient, edges = group.gradient[: group.present], group.edges[: group.present]
    for held, vectors, node in sources.tiers:
        m = int((held <= group.position).sum())
        if m:
            at = gradient if m == gradient.shape[1] else gradient[:, held[:m] - group.first]
            products = torch.bmm(at.transpose(0, 1), vectors[:m]).transpose(0, 1).reshape(len(edges), -1)
            used = node[:m].reshape(-1)
            real = used >= 0
            edges[:, group.local[used[real]]] = products[:, real]
    edges[:, group.errors(sources.layer)] = torch.einsum("npd,pd->np", gradient, sources.errors[group.reach])
    if sources.constant is not None:
        edges[:, group.bias(sources.layer)] += torch.einsum("npd,pd->n", gradient, sources.constant[group.reach])


def _add_features(group: Group, encoding: Encoding, features: FeatureSet, layer: int) -> None:
    """Only now, after reading off: a feature doesn't see what its own layer writes."""
    span = features.span(layer)
    here = features.position[span] == group.position
    if here.any():
        read, own = encoding.read(layer, features.position[span][here], features.feature[span][here])
        rows = group.add(read)
        group.edges[rows, group.bias(layer)] += own


def _through_attention(group: Group, attention: FrozenAttention, streams: FirstPosition | None, layer: int) -> None:
    if not group.present:
        return
    gradient, edges = group.gradient[: group.present], group.edges[: group.present]
    constant = attention.written_constant(group.reach)
    if constant is not None:
        edges[:, group.bias(layer)] += torch.einsum("npd,pd->n", gradient, constant)
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

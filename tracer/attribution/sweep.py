"""The linear replay: every direct effect between nodes, in one pass from the top layer down (DESIGN §3).

A group holds targets at one position, no more than the cache has room for, so that their gradients have one shape; it
goes through all layers before the next one starts. Its rows go from the top layer down, so that the targets present at
any moment are its first ones.
"""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tracer.attribution.cost import sweep_operations
from tracer.attribution.frozen import FirstPosition, FrozenAttention
from tracer.attribution.sources import Sources, all_sources
from tracer.attribution.targets import LogitTarget
from tracer.errors import Progress
from tracer.features.basis import Encoding, FeatureSet
from tracer.graph.layout import Layout
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record

BLOCK = 4096
"""Gradient vectors of one group: few enough for the cache to hold what a layer makes of them."""


class Sweep:
    """Prepared once for a prompt: all that features, errors, tokens and constants write. Then rows of any targets."""

    @torch.no_grad()
    def __init__(
        self,
        anatomy: Anatomy,
        record: Record,
        encoding: Encoding,
        features: FeatureSet,
        targets: list[LogitTarget],
        excluded: list[int],
    ) -> None:
        self.n_layers = len(anatomy.layers)
        self.anatomy, self.record, self.encoding, self.features = anatomy, record, encoding, features
        self.layout = make_layout(features, self.n_layers, record.n_tokens, len(targets))
        self.attentions = [FrozenAttention(anatomy, record, layer) for layer in range(self.n_layers)]
        self.sources = all_sources(record, encoding, features, excluded)
        self.first = first_position(excluded, record.n_tokens)
        self.streams = FirstPosition(self.attentions, record, self.sources) if self.first else None
        directions = torch.stack([t.direction for t in targets])
        self.directions = anatomy.centred(directions * record.final_gain)
        self.operations = 0.0  # of the rows so far
        self.final = torch.tensor([t.constant for t in targets], device=directions.device)

    @torch.no_grad()
    def rows(self, nodes: np.ndarray, progress: Progress) -> sparse.csr_array:
        """(n, n), float32: the rows of these nodes (features, logits) filled, all others empty. Row = target."""
        skips = any(sources.skip is not None for sources in self.sources)
        self.operations += sweep_operations(
            self.anatomy, self.layout, self.first, nodes, self.encoding.cross_layer, skips
        )
        groups = _groups(self.layout, nodes, self.first)
        work = np.cumsum([0] + [len(rows) * (position + 1) for position, rows in groups])
        pieces = []
        for i, (position, rows) in enumerate(groups):
            group = Group(self.layout, position, rows, self.record.embedding.device, self.anatomy.d_model, self.first)
            logits = group.entering(self.n_layers) - self.layout.first_logit
            own = group.add(self.directions[logits])
            group.edges[own, group.bias(self.n_layers)] = self.final[logits]
            for layer in reversed(range(self.n_layers)):
                sources = self.sources[layer]
                _read_edges(group, sources)
                _through_skip(group, sources)
                _add_features(group, self.encoding, self.features, layer)
                _through_attention(group, self.attentions[layer], self.streams, layer)
                passed = work[i] + (self.n_layers - layer) / self.n_layers * (work[i + 1] - work[i])
                progress("sweep", float(passed / work[-1]))
            group.edges[:, group.embeddings] = _dot(group.gradient, self.record.embedding[group.reach])
            if self.record.positions is not None:
                group.edges[:, group.bias(-1)] += _dot(group.gradient, self.record.positions[group.reach]).sum(1)
            pieces.append((group.rows, group.matrix(self.layout.n_nodes)))
        return _assemble(pieces, self.layout.n_nodes)

    def all_rows(self, progress: Progress) -> sparse.csr_array:
        """The whole adjacency matrix (n, n)."""
        logits = np.arange(self.layout.first_logit, self.layout.first_bias)
        return self.rows(np.concatenate([np.arange(self.layout.n_features), logits]), progress)


def first_position(excluded: list[int], n_tokens: int) -> int:
    """1 where position 0 is excluded, unless it is all there is: the only target then lies there."""
    return 1 if 0 in excluded and n_tokens > 1 else 0


def make_layout(features: FeatureSet, n_layers: int, n_tokens: int, n_targets: int) -> Layout:
    layer, position, feature = (x.cpu().numpy() for x in (features.layer, features.position, features.feature))
    return Layout(layer, position, feature, n_layers, n_tokens, n_targets)


def _groups(layout: Layout, nodes: np.ndarray, first: int) -> list[tuple[int, np.ndarray]]:
    """Positions, and at most BLOCK / width targets there, logits first, then from the top layer down."""
    position, layer = layout.node_position[nodes], layout.node_layer[nodes]
    groups = []
    for here in np.unique(position):
        at = np.flatnonzero(position == here)
        rows = nodes[at[np.argsort(-layer[at], kind="stable")]]
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
        self.column_of = torch.from_numpy(visible.cumsum() - 1).to(device)  # of each feature that is visible
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


def _read_edges(group: Group, sources: Sources) -> None:
    """An edge is the target's gradient at the source's write point · write vector × activation."""
    if not group.present:
        return
    gradient, edges = group.gradient[: group.present], group.edges[: group.present]
    for position, span in sources.held:
        if group.first <= position <= group.position:
            products = gradient[:, position - group.first] @ sources.vectors[span].T
            edges.index_add_(1, group.column_of[sources.columns[span]], products)
    edges[:, group.errors(sources.layer)] = _dot(gradient, sources.errors[group.reach])
    if sources.constant is not None:
        edges[:, group.bias(sources.layer)] += _dot(gradient, sources.constant[group.reach]).sum(1)


def _through_skip(group: Group, sources: Sources) -> None:
    """A linear skip is no source: targets above see through it."""
    if sources.skip is not None and group.present:
        gradient = group.gradient[: group.present]
        gradient += sources.skip.transpose(gradient, group.reach)


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
        edges[:, group.bias(-1) : group.bias(layer)] += offered[:, 1:]


def _assemble(groups: list[tuple[np.ndarray, sparse.csr_array]], n_nodes: int) -> sparse.csr_array:
    """Put the rows of all groups in node order; nodes that are no targets have empty rows."""
    rows = np.concatenate([rows for rows, _ in groups])
    stacked = sparse.vstack([matrix for _, matrix in groups], format="csr")[np.argsort(rows)]
    lengths = np.zeros(n_nodes, dtype=np.int64)
    lengths[np.sort(rows)] = np.diff(stacked.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_array((stacked.data, stacked.indices.astype(np.int32), indptr), shape=(n_nodes, n_nodes))

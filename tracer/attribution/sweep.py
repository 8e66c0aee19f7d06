"""The linear replay: every direct effect between nodes, in one pass from the top layer down (DESIGN §3).

A group holds targets at one position, no more than the cache has room for, so that their gradients have one shape; it
goes through all layers before the next one starts. Its rows go from the top layer down, so that the targets present at
any moment are its first ones.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tracer.attribution.cost import sweep_operations
from tracer.attribution.frozen import FirstPosition, FrozenAttention, frozen_bytes
from tracer.attribution.group import Group, Rows, groups, vectors_at_once
from tracer.attribution.sources import Sources, all_sources, embeddings
from tracer.attribution.targets import LogitTarget
from tracer.attribution.workers import side_by_side
from tracer.errors import Progress
from tracer.features.basis import Encoding, FeatureSet
from tracer.graph.layout import Layout
from tracer.memory import gpu_share
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record

KEPT = 1 << 28
"""Bytes that attention matrices may take in float32, on the CPU; each group makes those of the other layers anew."""


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
        room = gpu_share(anatomy.device, 8) or KEPT
        n_kept = min(self.n_layers, room * self.n_layers // frozen_bytes(anatomy))  # more groups pass the lower layers
        self._kept = [FrozenAttention(anatomy, record, layer) for layer in range(n_kept)]
        self.sources = all_sources(record, encoding, features, excluded, self.layout)
        self.embeddings = embeddings(record, self.layout)
        self.first = first_position(excluded, record.n_tokens)
        self.streams = None
        if self.first:
            self.streams = FirstPosition(map(self.attention, range(self.n_layers)), record, self.sources)
        directions = torch.stack([t.direction for t in targets])
        self.directions = anatomy.centred(directions * record.final_gain)
        self.anatomy.release()
        self.operations = 0.0  # of the rows so far
        self.final = torch.tensor([t.constant for t in targets], device=directions.device)

    def attention(self, layer: int) -> FrozenAttention:
        return self._kept[layer] if layer < len(self._kept) else FrozenAttention(self.anatomy, self.record, layer)

    @torch.no_grad()
    def rows(self, nodes: np.ndarray, progress: Progress) -> sparse.csr_array:
        """(n, n), float32: the rows of these nodes (features, logits) filled, all others empty. Row = target."""
        skips = any(sources.skip is not None for sources in self.sources)
        self.operations += sweep_operations(
            self.anatomy, self.layout, self.first, nodes, self.encoding.cross_layer, skips
        )
        device = self.directions.device
        found = groups(self.layout, nodes, self.first, vectors_at_once(self.anatomy, device))
        filled = Rows(self.layout, nodes, self.first)
        reads = self._reads(nodes)

        def sweep(at: int, advance: Callable[[float], None]) -> None:
            position, targets = found[at]
            group = Group(self.layout, position, targets, self.first, device, self.anatomy.d_model)
            self._sweep(group, reads, lambda: advance(len(targets) * (position + 1) / self.n_layers))
            filled.fill(group)

        work = sum(len(targets) * (position + 1) for position, targets in found)
        order = sorted(range(len(found)), key=lambda at: -found[at][0])  # long groups first, so that none ends alone
        side_by_side(sweep, order, device, lambda done: progress("sweep", min(done / work, 1.0)))
        return filled.matrix()

    def _reads(self, nodes: np.ndarray) -> tuple[np.ndarray, Tensor, Tensor]:
        """Each node's place in what follows; read vectors (n, D) at the stream; what each owes to its biases (n,)."""
        layout, device = self.layout, self.directions.device
        place = np.full(layout.n_nodes, -1)
        place[nodes] = np.arange(len(nodes))
        vectors = self.directions.new_empty(len(nodes), self.anatomy.d_model)
        own = self.directions.new_empty(len(nodes))
        for layer in np.unique(layout.node_layer[nodes]):
            here = nodes[layout.node_layer[nodes] == layer]
            rows, mine = (torch.from_numpy(x).to(device) for x in (place[here], here))
            if layer == self.n_layers:
                vectors[rows], own[rows] = (x[mine - layout.first_logit] for x in (self.directions, self.final))
            else:
                features = self.features
                vectors[rows], own[rows] = self.encoding.read(layer, features.position[mine], features.feature[mine])
        return place, vectors, own

    @torch.no_grad()
    def _sweep(self, group: Group, reads: tuple[np.ndarray, Tensor, Tensor], step: Callable[[], None]) -> None:
        """One group through all layers; `step` is called after each."""
        place, vectors, own = reads

        def enter(layer: int) -> None:
            rows = torch.from_numpy(place[group.entering(layer)]).to(own.device)
            if len(rows):
                group.add(layer, vectors[rows], own[rows])

        enter(self.n_layers)
        for layer in reversed(range(self.n_layers)):
            sources = self.sources[layer]
            _read_edges(group, sources)
            _through_skip(group, sources)
            enter(layer)  # only now, after reading off: a feature doesn't see what its own layer writes
            _through_attention(group, self.attention(layer), self.streams, layer)
            step()
        _read_edges(group, self.embeddings)

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


def _read_edges(group: Group, sources: Sources) -> None:
    """An edge is the target's gradient at the source's write point · write vector × activation."""
    if not group.entered:
        return
    gradient, begins = group.gradient, sources.ends[group.first : group.position + 2]
    seen = slice(begins[0], begins[-1])
    vectors = sources.vectors[seen]
    if sources.each is not None:
        products = torch.bmm(vectors.unflatten(0, (-1, sources.each)), gradient.permute(1, 2, 0)).flatten(0, 1)
    else:
        products = vectors.new_empty(len(vectors), group.entered)
        for at, (begin, end) in enumerate(pairwise(begins)):
            rows = slice(begin - seen.start, end - seen.start)
            torch.mm(vectors[rows], gradient[:, at].T, out=products[rows])
    group.edges.index_add_(0, group.source_of[sources.nodes[seen]], products)


def _through_skip(group: Group, sources: Sources) -> None:
    """A linear skip is no source: targets above see through it."""
    if sources.skip is not None and group.entered:
        group.gradient.add_(sources.skip.transpose(group.gradient, group.reach))


def _through_attention(group: Group, attention: FrozenAttention, streams: FirstPosition | None, layer: int) -> None:
    if not group.entered:
        return
    edges, gradient = group.edges, group.gradient
    constant = attention.written_constant(group.reach)
    if constant is not None:
        edges[group.bias(layer)] += gradient.flatten(1) @ constant.flatten()
    at_first = attention.transpose(gradient, group.first, group.fresh)
    group.fresh = 0
    if streams is not None:
        offered = streams.values[layer] @ at_first.T
        edges[group.first_embedding] += offered[0]
        edges[group.bias(-1) : group.bias(layer)] += offered[1:]

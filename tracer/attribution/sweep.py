"""The linear replay: every direct effect between nodes, in one pass from the top layer down (DESIGN §3).

A group holds targets at one position, no more than the cache has room for, so that their gradients have one shape; it
goes through all layers before the next one starts. Its rows go from the top layer down, so that the targets present at
any moment are its first ones.
"""

import numpy as np
import torch
from scipy import sparse

from tracer.attribution.cost import sweep_operations
from tracer.attribution.frozen import FirstPosition, FrozenAttention
from tracer.attribution.group import Group, Rows, groups
from tracer.attribution.sources import Sources, all_sources, embeddings
from tracer.attribution.targets import LogitTarget
from tracer.errors import Progress
from tracer.features.basis import Encoding, FeatureSet
from tracer.graph.layout import Layout
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record


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
        self.sources = all_sources(record, encoding, features, excluded, self.layout)
        self.embeddings = embeddings(record, self.layout)
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
        found = groups(self.layout, nodes, self.first)
        work = np.cumsum([0] + [len(targets) * (position + 1) for position, targets in found])
        filled = Rows(self.layout, nodes, self.first)
        for i, (position, targets) in enumerate(found):
            group = Group(self.layout, position, targets, self.first, self.directions.device, self.anatomy.d_model)
            logits = group.entering(self.n_layers) - self.layout.first_logit
            group.add(self.n_layers, self.directions[logits], self.final[logits])
            for layer in reversed(range(self.n_layers)):
                sources = self.sources[layer]
                _read_edges(group, sources)
                _through_skip(group, sources)
                _add_features(group, self.encoding, self.features, layer)
                _through_attention(group, self.attentions[layer], self.streams, layer)
                passed = work[i] + (self.n_layers - layer) / self.n_layers * (work[i + 1] - work[i])
                progress("sweep", float(passed / work[-1]))
            _read_edges(group, self.embeddings)
            filled.fill(group)
        return filled.matrix()

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
    held = [(position, span) for position, span in sources.held if group.first <= position <= group.position]
    seen = slice(held[0][1].start, held[-1][1].stop) if held else slice(0, 0)
    products = group.edges.new_empty(seen.stop - seen.start, group.gradient.shape[2])
    for position, span in held:
        rows = slice(span.start - seen.start, span.stop - seen.start)
        torch.mm(sources.vectors[span], group.gradient[:, position - group.first], out=products[rows])
    group.edges.index_add_(0, group.source_of[sources.nodes[seen]], products)


def _through_skip(group: Group, sources: Sources) -> None:
    """A linear skip is no source: targets above see through it."""
    if sources.skip is not None and group.entered:
        group.gradient += sources.skip.transpose(group.gradient.permute(2, 1, 0), group.reach).permute(2, 1, 0)


def _add_features(group: Group, encoding: Encoding, features: FeatureSet, layer: int) -> None:
    """Only now, after reading off: a feature doesn't see what its own layer writes."""
    nodes = torch.from_numpy(group.entering(layer)).to(group.gradient.device)
    if len(nodes):
        group.add(layer, *encoding.read(layer, features.position[nodes], features.feature[nodes]))


def _through_attention(group: Group, attention: FrozenAttention, streams: FirstPosition | None, layer: int) -> None:
    if not group.entered:
        return
    edges = group.edges
    constant = attention.written_constant(group.reach)
    if constant is not None:
        edges[group.bias(layer)] += constant.T.flatten() @ group.gradient.flatten(0, 1)
    at_first = attention.transpose(group.gradient, group.first)
    if streams is not None:
        offered = streams.values[layer] @ at_first
        edges[group.first_embedding] += offered[0]
        edges[group.bias(-1) : group.bias(layer)] += offered[1:]

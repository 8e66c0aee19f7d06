"""Which active features become nodes, and what becomes of the others.

Neurons are chosen by total attribution, then by influence; what is not chosen stays in the error node of its layer and
position. Transcoder features are chosen by circuit-tracer's greedy: rounds of those with the largest influence over the
rows so far (study/circuit-tracer.md §1.7); what is not chosen is kept apart, as `dropped`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tracer.attribution.frozen import FrozenAttention
from tracer.attribution.sweep import Sweep, make_layout
from tracer.attribution.targets import LogitTarget
from tracer.errors import Progress
from tracer.features.basis import FeatureSet
from tracer.features.neurons import NeuronEncoding
from tracer.graph.dropped import Dropped
from tracer.graph.influence import influence
from tracer.graph.layout import Layout
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record


@dataclass
class Selected:
    """The chosen features and their graph."""

    features: FeatureSet
    layout: Layout
    adjacency: sparse.csr_array  # (n, n)
    dropped: Dropped | None = None
    operations: float = 0.0  # of the sweeps, without selection's own


def n_candidates(wanted: int) -> int:
    """First-stage nodes: choosing by influence among more than are wanted explains more (DESIGN §3: 500 of 3,000)."""
    return max(wanted, min(6 * wanted, 3000))


@torch.no_grad()
def total_attribution(
    anatomy: Anatomy, record: Record, encoding: NeuronEncoding, targets: list[LogitTarget], progress: Progress
) -> Tensor:
    """Σ_k w_k·|attribution to target k|, (L, T, F): h·∂target/∂h through attention, norms and MLPs, by RelP's rules."""
    n_layers, n_tokens = len(anatomy.layers), record.n_tokens
    weights = torch.tensor([t.weight for t in targets], device=record.embedding.device)
    gradient = record.embedding.new_zeros(len(targets), n_tokens, anatomy.d_model)
    gradient[:, -1] = anatomy.centred(torch.stack([t.direction for t in targets]) * record.final_gain)
    scores: list[Tensor] = []
    for layer in reversed(range(n_layers)):
        at_neurons, before = encoding.through(layer, gradient)
        scores.append(torch.einsum("k,ktf->tf", weights, (at_neurons * encoding.h[layer]).abs()))
        gradient = gradient + before
        FrozenAttention(anatomy, record, layer).transpose(gradient, 0)
        anatomy.release()
        progress("select", (n_layers - layer) / n_layers)
    return torch.stack(scores[::-1])


def largest(scores: Tensor, n: int) -> FeatureSet:
    """The features with the n largest scores that are not zero."""
    flat = scores.flatten()
    chosen = torch.topk(flat, min(n, int(torch.count_nonzero(flat)))).indices.sort().values
    layer, position, feature = (x.contiguous() for x in torch.unravel_index(chosen, scores.shape))
    return FeatureSet(layer, position, feature)


def most_influential(sweep: Sweep, weights: np.ndarray, wanted: int, progress: Progress) -> Selected:
    """All rows, then the `wanted` features of largest influence; what the others wrote joins the errors."""
    adjacency, layout = sweep.all_rows(progress), sweep.layout
    if wanted >= layout.n_features:
        return Selected(sweep.features, layout, adjacency, operations=sweep.operations)
    score = influence(adjacency, layout, weights)[: layout.n_features]
    kept = np.sort(np.argsort(-score, kind="stable")[:wanted])
    chosen, small = _keep(sweep, kept)
    column = np.arange(layout.n_nodes) - (layout.n_features - len(kept))
    column[: layout.n_features] = small.error(layout.layer, layout.position)
    column[kept] = np.arange(len(kept))
    rows = adjacency[np.concatenate([kept, np.arange(layout.first_error, layout.n_nodes)])]
    folded = sparse.csr_array((rows.data, column[rows.indices].astype(np.int32), rows.indptr), (small.n_nodes,) * 2)
    folded.sum_duplicates()
    return Selected(chosen, small, folded, operations=sweep.operations)


def greedy(sweep: Sweep, weights: np.ndarray, wanted: int, rerank_every: int, progress: Progress) -> Selected:
    """Rounds of `rerank_every` features, those of largest influence over the rows so far, until `wanted` have a row."""
    layout = sweep.layout
    if wanted >= layout.n_features:
        return Selected(sweep.features, layout, sweep.all_rows(progress), operations=sweep.operations)
    visited = np.zeros(layout.n_features, dtype=bool)
    adjacency = sweep.rows(np.arange(layout.first_logit, layout.first_bias), lambda _phase, _fraction: None)
    while (done := int(visited.sum())) < wanted:
        score = influence(adjacency, layout, weights)[: layout.n_features]
        score[visited] = -np.inf
        chosen = np.sort(np.argsort(-score, kind="stable")[: min(rerank_every, wanted - done)])
        visited[chosen] = True

        def report(phase: str, fraction: float, done: int = done, n: int = len(chosen)) -> None:
            progress(phase, (done + fraction * n) / wanted)

        adjacency = adjacency + sweep.rows(chosen, report)
    kept = np.flatnonzero(visited)
    features, small = _keep(sweep, kept)
    inner = np.concatenate([kept, np.arange(layout.first_error, layout.n_nodes)])
    rows = adjacency[inner]
    rest = np.flatnonzero(~visited)
    others = rows[:, rest]
    cell = (layout.layer * layout.n_tokens + layout.position)[rest]
    shape = (small.n_nodes, layout.n_layers * layout.n_tokens)
    cells = sparse.csr_array((others.data, cell[others.indices].astype(np.int32), others.indptr), shape, copy=True)
    cells.sum_duplicates()
    left_out = np.stack([layout.layer, layout.position, layout.feature], axis=1)[rest]
    activation = sweep.encoding.activation(sweep.features[torch.from_numpy(rest)]).float().cpu().numpy()
    dropped = Dropped(left_out, activation, cells, float(abs(others).sum()))
    return Selected(features, small, rows[:, inner], dropped, sweep.operations)


def _keep(sweep: Sweep, kept: np.ndarray) -> tuple[FeatureSet, Layout]:
    features = sweep.features[torch.from_numpy(kept).to(sweep.features.layer.device)]
    return features, make_layout(features, sweep.n_layers, sweep.layout.n_tokens, sweep.layout.n_targets)

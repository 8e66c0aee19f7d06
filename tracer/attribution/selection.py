"""Which neurons become nodes: those with the largest total attribution, then those with the largest influence.

Total attribution is h·∂target/∂h through everything below the target (attention, norms and MLPs, by RelP's rules), for
all neurons by one backward pass. What is not chosen stays in the error node of its layer and position.
"""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tracer.attribution.frozen import FrozenAttention
from tracer.attribution.targets import LogitTarget
from tracer.errors import Progress
from tracer.features.basis import FeatureSet
from tracer.features.neurons import NeuronEncoding
from tracer.graph.layout import Layout
from tracer.model.anatomy import Anatomy
from tracer.model.record import Record


def n_candidates(wanted: int) -> int:
    """First-stage nodes: choosing by influence among more than are wanted explains more (DESIGN §3: 500 of 3,000)."""
    return max(wanted, min(6 * wanted, 3000))


@torch.no_grad()
def total_attribution(
    anatomy: Anatomy, record: Record, encoding: NeuronEncoding, targets: list[LogitTarget], progress: Progress
) -> Tensor:
    """Σ_k w_k·|attribution to target k|, (L, T, F)."""
    n_layers, n_tokens = len(anatomy.layers), record.n_tokens
    weights = torch.tensor([t.weight for t in targets], device=record.embedding.device)
    gradient = record.embedding.new_zeros(len(targets), n_tokens, anatomy.d_model)
    gradient[:, -1] = torch.stack([t.direction for t in targets]) * record.final_gain
    scores: list[Tensor] = []
    for layer in reversed(range(n_layers)):
        at_neurons, before = encoding.through(layer, gradient)
        scores.append(torch.einsum("k,ktf->tf", weights, (at_neurons * encoding.h[layer]).abs()))
        gradient = gradient + before
        branch, _ = FrozenAttention(anatomy, record, layer).transpose(gradient, 0)
        gradient = gradient + branch
        progress("select", (n_layers - layer) / n_layers)
    return torch.stack(scores[::-1])


def all_active(encoding: NeuronEncoding) -> FeatureSet:
    """Every neuron with an activation at a position that is not excluded."""
    active = torch.stack(encoding.h) != 0
    active[:, encoding.excluded] = False
    return FeatureSet(*(x.contiguous() for x in active.nonzero(as_tuple=True)))


def largest(scores: Tensor, n: int) -> FeatureSet:
    """The features with the n largest scores that are not zero."""
    flat = scores.flatten()
    chosen = torch.topk(flat, min(n, int(torch.count_nonzero(flat)))).indices.sort().values
    layer, position, feature = (x.contiguous() for x in torch.unravel_index(chosen, scores.shape))
    return FeatureSet(layer, position, feature)


def keep_most_influential(
    adjacency: sparse.csr_array, layout: Layout, influence: np.ndarray, n: int
) -> tuple[np.ndarray, sparse.csr_array]:
    """Reduce a graph to its n most influential features; what the others wrote joins the error of their layer and
    position.

    Returns the indices of the kept features, ascending, and the smaller matrix.
    """
    order = np.argsort(-influence[: layout.n_features], kind="stable")[:n]
    kept = np.sort(order)
    shift = layout.n_features - len(kept)
    column = np.arange(layout.n_nodes) - shift
    column[: layout.n_features] = layout.error(layout.layer, layout.position) - shift
    column[kept] = np.arange(len(kept))
    rows = np.concatenate([kept, np.arange(layout.first_error, layout.n_nodes)])
    short = adjacency[rows]
    n_nodes = layout.n_nodes - shift
    folded = sparse.csr_array((short.data, column[short.indices].astype(np.int32), short.indptr), (n_nodes, n_nodes))
    folded.sum_duplicates()
    return kept, folded

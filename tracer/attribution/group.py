"""Targets at one position, swept together, and where their rows go."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from tracer.graph.layout import Layout
from tracer.memory import gpu_share
from tracer.model.anatomy import Anatomy

CACHE = 12 << 20
"""Bytes of one group's gradients and of what a layer makes of them, on the CPU: what its cache holds."""

SMALLEST = 8
"""Targets of a group, however long the prompt: fewer cost as much."""


def vectors_at_once(anatomy: Anatomy, device: torch.device) -> int:
    """Gradient vectors of one group: of a GPU they may take a sixteenth of what is free."""
    part = anatomy.layers[0]
    each = 4 * (anatomy.d_model + (part.n_heads + 2 * part.n_kv_heads) * part.head_dim)
    return max(1, (gpu_share(device, 16) or CACHE) // each)


def groups(layout: Layout, nodes: np.ndarray, first: int, vectors: int) -> list[tuple[int, np.ndarray]]:
    """Positions, and at most `vectors` / width targets there, logits first, then from the top layer down."""
    position, layer = layout.node_position[nodes], layout.node_layer[nodes]
    found = []
    for here in np.unique(position):
        at = np.flatnonzero(position == here)
        rows = nodes[at[np.argsort(-layer[at], kind="stable")]]
        size = max(SMALLEST, vectors // (int(here) + 1 - first))
        found += [(int(here), rows[start : start + size]) for start in range(0, len(rows), size)]
    return found


class Group:
    """Targets at one position, their gradients, and their edges as they come in.

    Sources in `edges`: features at positions ≤ this one, errors (layer-major) at the positions of the gradient,
    embeddings, bias nodes; as the nodes of a graph are ordered.
    """

    def __init__(
        self, layout: Layout, position: int, targets: np.ndarray, first: int, device: torch.device, d_model: int
    ) -> None:
        self.layout, self.position, self.targets, self.first = layout, position, targets, first
        self.layers = layout.node_layer[targets]
        reach = np.arange(first, position + 1)
        self.parts = (
            np.flatnonzero(layout.position <= position),
            layout.error(np.arange(layout.n_layers)[:, None], reach).ravel(),
            layout.first_embedding + np.arange(position + 1),
            np.arange(layout.first_bias, layout.n_nodes),
        )
        sources = torch.from_numpy(np.concatenate(self.parts)).to(device)
        # Of each node that is seen: where in `edges`. The others, and the one after the last, go to an unused row.
        self.source_of = torch.full((layout.n_nodes + 1,), len(sources), device=device)
        self.source_of[sources] = torch.arange(len(sources), device=device)
        self.first_embedding, self.first_bias = np.cumsum([len(part) for part in self.parts])[1:3].tolist()
        self.all_gradients = torch.zeros(len(targets), len(reach), d_model, device=device)
        self.all_edges = torch.zeros(len(sources) + 1, len(targets), device=device)
        self.entered = 0  # targets whose layer the sweep has passed
        self.fresh = 0  # of these, the last ones: their gradients have not yet passed an attention

    @property
    def gradient(self) -> Tensor:
        """(targets present, positions, D)."""
        return self.all_gradients[: self.entered]

    @property
    def edges(self) -> Tensor:
        """(sources + 1, targets present)."""
        return self.all_edges[:, : self.entered]

    @property
    def reach(self) -> slice:
        """The positions of `gradient`."""
        return slice(self.first, self.position + 1)

    def bias(self, layer: int) -> int:
        """Its place in `edges`; −1: embed; L: final."""
        return self.first_bias + layer + 1

    def entering(self, layer: int) -> np.ndarray:
        """The nodes of the targets that read at this layer."""
        return self.targets[self.layers == layer]

    def add(self, layer: int, read: Tensor, own: Tensor) -> None:
        """Let a layer's targets enter: read vectors (k, D) at the stream, and what they owe to their biases (k,)."""
        rows = slice(self.entered, self.entered + len(read))
        self.entered, self.fresh = rows.stop, self.fresh + len(read)
        self.all_gradients[rows, -1] = read
        self.edges[self.bias(layer), rows] += own


class Rows:
    """The csr arrays of a matrix of which the rows of some nodes are filled, group by group, and all others empty.

    A target sees only what lies below it, at positions up to its own: so the size of each row is known beforehand.
    """

    def __init__(self, layout: Layout, nodes: np.ndarray, first: int) -> None:
        self.layout = layout
        layer, position = layout.node_layer[nodes], layout.node_position[nodes]
        lengths = np.zeros(layout.n_nodes, dtype=np.int64)
        width = position + 1
        lengths[nodes] = layout.features_below[layer, width] + layer * (width - first) + width + layer + 2
        size = int(lengths.sum())
        integer = sparse.get_index_dtype(maxval=max(size, layout.n_nodes))  # of both arrays, or scipy copies them
        self.indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(integer)
        self.indices = np.empty(size, dtype=integer)
        self.data = np.empty(size, dtype=np.float32)

    def fill(self, group: Group) -> None:
        edges, width = group.all_edges.cpu().numpy(), group.position + 1
        starts = np.cumsum([0] + [len(part) for part in group.parts])
        for layer in np.unique(group.layers):
            below = self.layout.features_below[layer, width]
            seen = (below, layer * (width - group.first), width, layer + 2)
            nodes = np.concatenate([part[:n] for part, n in zip(group.parts, seen, strict=True)])
            entered = np.flatnonzero(group.layers == layer)
            own = edges[:, entered[0] : entered[-1] + 1]
            targets = group.targets[entered]
            span = slice(self.indptr[targets[0]], self.indptr[targets[-1] + 1])  # no others lie between these
            self.indices[span] = np.tile(nodes, len(targets))
            rows = self.data[span].reshape(len(targets), -1)
            rows.T[:] = np.concatenate([own[start : start + n] for start, n in zip(starts[:-1], seen, strict=True)])

    def matrix(self) -> sparse.csr_array:
        """(n, n). What a target doesn't see after all is exactly zero, and left out."""
        n = self.layout.n_nodes
        matrix = sparse.csr_array((self.data, self.indices, self.indptr), shape=(n, n))
        matrix.eliminate_zeros()
        return matrix

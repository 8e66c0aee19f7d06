"""An attribution graph: nodes, the sparse matrix of direct effects, and what is needed to say where it came from.

`A[target, source]`: a row explains its target and sums to its value (DESIGN §3). A saved graph is safetensors with a
JSON header; loading one runs no code. Knows nothing of models.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from tracer.errors import TracerError
from tracer.graph import file
from tracer.graph.dropped import Dropped
from tracer.graph.file import Target
from tracer.graph.influence import influence
from tracer.graph.layout import KINDS, Layout
from tracer.graph.prune import Pruned, prune
from tracer.graph.scores import Scores, scores


@dataclass
class Graph:
    layout: Layout
    activation: np.ndarray  # (N,) float32, of the feature nodes
    targets: list[Target]
    adjacency: sparse.csr_array  # (n, n) float32
    token_ids: list[int]
    meta: dict[str, Any]  # JSON: prompt, tokens, model, fingerprints, settings, seconds, excluded positions, n_active
    dropped: Dropped | None = None  # active features that were not selected; None where they are in the errors

    def __post_init__(self) -> None:
        """Columns as int32 where they can be: half the memory, and pruning takes half the time."""
        matrix = self.adjacency
        if matrix.nnz < 2**31 and matrix.indices.dtype != np.int32:
            indices, starts = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
            self.adjacency = sparse.csr_array((matrix.data, indices, starts), shape=matrix.shape)

    @property
    def tokens(self) -> list[str]:
        """The text of each token of the prompt."""
        return self.meta["tokens"]

    @property
    def weights(self) -> np.ndarray:
        """(K,)"""
        return np.array([t.weight for t in self.targets])

    @cached_property
    def influence(self) -> np.ndarray:
        """(n,), before pruning; bias nodes 0."""
        values = np.zeros(self.layout.n_nodes)
        values[: self.layout.first_bias] = influence(self.adjacency, self.layout, self.weights)
        return values

    @property
    def complete(self) -> bool:
        """Do rows hold all that their targets owe? A graph from another program has no bias nodes, so its don't."""
        return all(t.value is not None for t in self.targets)

    @cached_property
    def value(self) -> np.ndarray:
        """(n,): what a row sums to: a feature's activation, a logit less the mean logit.

        nan for nodes without a row, and for all nodes of a graph that is not complete.
        """
        values = np.full(self.layout.n_nodes, np.nan)
        if self.complete:
            values[: self.layout.n_features] = self.activation
            values[self.layout.first_logit : self.layout.first_bias] = [t.value for t in self.targets]
        return values

    @cached_property
    def mass(self) -> np.ndarray:
        """(n,): Σ|row|, bias columns and what was dropped included. A share is an edge divided by its target's mass."""
        mass = np.asarray(abs(self.adjacency).sum(axis=1))
        return mass if self.dropped is None else mass + np.asarray(abs(self.dropped.cells).sum(axis=1))

    @cached_property
    def by_source(self) -> sparse.csc_array:
        """The adjacency matrix, column by column."""
        return self.adjacency.tocsc()

    def inputs(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """Source nodes of a target and its edges from them."""
        span = slice(*self.adjacency.indptr[node : node + 2])
        return self.adjacency.indices[span], self.adjacency.data[span]

    def outputs(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """Target nodes of a source and its edges to them."""
        span = slice(*self.by_source.indptr[node : node + 2])
        return self.by_source.indices[span], self.by_source.data[span]

    @cached_property
    def rank(self) -> np.ndarray:
        """(n,): place by influence among all nodes, 1 the most influential; equals share a place."""
        return np.searchsorted(np.sort(-self.influence), -self.influence) + 1

    @cached_property
    def row_errors(self) -> np.ndarray:
        """(n,): |Σ row − value| as a share of the row's mass; 0 for nodes without a row, nan where it isn't known."""
        total = np.asarray(self.adjacency.sum(axis=1, dtype=np.float64))
        if self.dropped is not None:
            total = total + np.asarray(self.dropped.cells.sum(axis=1, dtype=np.float64))
        gap = np.abs(total - self.value)
        return np.where(self.layout.has_row, gap / np.maximum(self.mass, 1e-12), 0)

    @property
    def row_error(self) -> float:
        """The worst of `row_errors`; nan for a graph that is not complete."""
        return float(self.row_errors.max())

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row a node. `feature` is the token id for logits and embeddings; what a node hasn't is −1 or nan."""
        layout = self.layout
        feature = np.full(layout.n_nodes, -1)
        feature[: layout.n_features] = layout.feature
        feature[layout.first_embedding : layout.first_logit] = self.token_ids
        feature[layout.first_logit : layout.first_bias] = [-1 if t.id is None else t.id for t in self.targets]
        activation = np.full(layout.n_nodes, np.nan)
        activation[: layout.n_features] = self.activation
        return pd.DataFrame(
            {
                "id": self.ids,
                "kind": np.array(KINDS)[layout.kind],
                "layer": layout.node_layer,
                "position": layout.node_position,
                "feature": feature,
                "activation": activation,
                "value": self.value,
                "influence": self.influence,
            }
        )

    @cached_property
    def ids(self) -> list[str]:
        """A stable name a node: layer_feature_position, ERR_layer_position, E_position, LOGIT_k, BIAS_name."""
        layout = self.layout
        names = [f"{a}_{b}_{c}" for a, b, c in zip(layout.layer, layout.feature, layout.position, strict=True)]
        names += [f"ERR_{layer}_{p}" for layer in range(layout.n_layers) for p in range(layout.n_tokens)]
        names += [f"E_{p}" for p in range(layout.n_tokens)]
        names += [f"LOGIT_{k}" for k in range(layout.n_targets)]
        return [*names, "BIAS_embed", *(f"BIAS_{layer}" for layer in range(layout.n_layers)), "BIAS_final"]

    @cached_property
    def index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.ids)}

    def scores(self) -> Scores:
        return scores(self.adjacency, self.layout, self.weights, None if self.dropped is None else self.dropped.cells)

    def prune(self, node_threshold: float = 0.8, edge_threshold: float = 0.98) -> Pruned:
        whole = self.influence[: self.layout.first_bias]
        return prune(self.adjacency, self.layout, self.weights, whole, node_threshold, edge_threshold)

    def active(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Known active features (a, 3) by layer, position, feature; their activations (a,); which of them are nodes."""
        layout = self.layout
        active = np.stack([layout.layer, layout.position, layout.feature], axis=1)
        activation, selected = self.activation, np.arange(layout.n_features)
        if self.dropped is not None:
            active = np.concatenate([active, self.dropped.features])
            activation = np.concatenate([activation, self.dropped.activation])
            order = np.lexsort((active[:, 2], active[:, 1], active[:, 0]))
            active, activation = active[order], activation[order]
            selected = np.flatnonzero(order < layout.n_features)
        return active, activation, selected

    def tensors(self) -> dict[str, torch.Tensor]:
        """Dense tensors by circuit-tracer's names; bias nodes last. For small graphs."""
        active, activation, selected = self.active()
        return {
            "active_features": torch.from_numpy(active),
            "activation_values": torch.from_numpy(activation),
            "selected_features": torch.from_numpy(selected),
            "input_tokens": torch.tensor(self.token_ids),
            "logit_token_ids": torch.tensor([-1 if t.id is None else t.id for t in self.targets]),
            "logit_probabilities": torch.tensor([t.weight for t in self.targets]),
            "adjacency_matrix": torch.from_numpy(self.adjacency.toarray()),
            "node_influence": torch.from_numpy(self.influence).float(),
        }

    def to_bytes(self) -> bytes:
        """Safetensors, with everything that is no array in its header."""
        return file.to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Graph":
        """Raises TracerError for data that isn't a whole graph of this format."""
        return cls(**file.from_bytes(data))

    def save(self, path: str | Path) -> None:
        """Raises TracerError for a file that can't be written."""
        try:
            Path(path).write_bytes(self.to_bytes())
        except OSError as problem:
            raise TracerError(f"can't write {path}: {problem.strerror}; choose another place") from problem

    @classmethod
    def load(cls, path: str | Path) -> "Graph":
        """Raises TracerError for a file that isn't there or isn't a graph."""
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except OSError as problem:
            raise TracerError(f"can't read {path}: {problem.strerror}") from problem

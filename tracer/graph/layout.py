"""The order of a graph's nodes: features, errors, embeddings, logits, then bias nodes.

Features by (layer, position, feature), errors layer-major, one embedding a token, one logit a target, and L + 2 bias
nodes: embed, layer 0 … L−1, final. The first four are circuit-tracer's order, so matrices can be compared.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

KINDS = ("feature", "error", "embedding", "logit", "bias")


@dataclass(frozen=True)
class Layout:
    """Sizes and index arithmetic. `layer`, `position`, `feature` are those of the feature nodes, (N,), int64."""

    layer: np.ndarray
    position: np.ndarray
    feature: np.ndarray
    n_layers: int
    n_tokens: int
    n_targets: int

    @property
    def n_features(self) -> int:
        return len(self.layer)

    @property
    def first_error(self) -> int:
        return self.n_features

    @property
    def first_embedding(self) -> int:
        return self.first_error + self.n_layers * self.n_tokens

    @property
    def first_logit(self) -> int:
        return self.first_embedding + self.n_tokens

    @property
    def first_bias(self) -> int:
        """Also the number of nodes that count in influence and scores."""
        return self.first_logit + self.n_targets

    @property
    def n_nodes(self) -> int:
        return self.first_bias + self.n_layers + 2

    @cached_property
    def layer_starts(self) -> np.ndarray:
        """(L + 1,): where the features of each layer begin."""
        return np.searchsorted(self.layer, np.arange(self.n_layers + 1))

    def error(self, layer: np.ndarray | int, position: np.ndarray) -> np.ndarray:
        return self.first_error + layer * self.n_tokens + position

    def bias(self, layer: int) -> int:
        """−1: embed; L: final."""
        return self.first_bias + 1 + layer

    @cached_property
    def features_below(self) -> np.ndarray:
        """(L + 1, T + 1): how many features lie in layers below one, at positions before one."""
        counts = np.zeros((self.n_layers + 1, self.n_tokens + 1), dtype=np.int64)
        np.add.at(counts, (self.layer + 1, self.position + 1), 1)
        return counts.cumsum(0).cumsum(1)

    @cached_property
    def kind(self) -> np.ndarray:
        """(n_nodes,), index into KINDS."""
        sizes = (self.n_features, self.n_layers * self.n_tokens, self.n_tokens, self.n_targets, self.n_layers + 2)
        return np.repeat(np.arange(5, dtype=np.int8), sizes)

    @cached_property
    def has_row(self) -> np.ndarray:
        """(n_nodes,) bool: the nodes that are explained, features and logits."""
        return np.isin(self.kind, (KINDS.index("feature"), KINDS.index("logit")))

    @cached_property
    def node_layer(self) -> np.ndarray:
        """(n_nodes,): −1 for embeddings and the bias of the embedding, L for logits and the final bias."""
        top = self.n_layers
        return np.concatenate(
            [
                self.layer,
                np.repeat(np.arange(top), self.n_tokens),
                np.full(self.n_tokens, -1),
                np.full(self.n_targets, top),
                np.arange(-1, top + 1),
            ]
        )

    @cached_property
    def node_position(self) -> np.ndarray:
        """(n_nodes,): −1 for bias nodes."""
        tokens = np.arange(self.n_tokens)
        return np.concatenate(
            [
                self.position,
                np.tile(tokens, self.n_layers),
                tokens,
                np.full(self.n_targets, self.n_tokens - 1),
                np.full(self.n_layers + 2, -1),
            ]
        )

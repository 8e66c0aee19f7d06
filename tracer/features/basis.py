"""The protocol of a feature basis: what the sweep asks of transcoders or neurons.

A basis is bound to a model; an `Encoding` is what it makes of one record. Vectors are given at the residual stream,
with norm scales held: a read vector already holds the gain of the norm before the MLP, a write vector that of the norm
after it.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tracer.model.record import Record


@dataclass(frozen=True)
class FeatureSet:
    """Features at positions, sorted by (layer, position, feature). All int64, shape (n,)."""

    layer: Tensor
    position: Tensor
    feature: Tensor

    def __len__(self) -> int:
        return len(self.layer)

    def span(self, layer: int) -> slice:
        """Where the features of one layer lie."""
        first = int((self.layer < layer).sum())
        return slice(first, first + int((self.layer == layer).sum()))


class Encoding(Protocol):
    """One prompt seen through a basis."""

    n_active: int  # features with an activation at a position that is not excluded

    def activation(self, features: FeatureSet) -> Tensor:
        """(n,)"""
        ...

    def read(self, layer: int, position: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Read vectors (n, D) at the stream before the MLP, and what a target owes to its own biases (n,)."""
        ...

    def write(self, layer: int, position: Tensor, feature: Tensor) -> Tensor:
        """Write vectors × activations (n, D), at the stream after the MLP of `layer`."""
        ...

    def constant(self, layer: int) -> Tensor | None:
        """(T, D): what the MLP of `layer` writes whatever it reads (b_dec), at the stream; None where it is zero."""
        ...


class Basis(Protocol):
    name: str

    def encode(self, record: Record, excluded: list[int]) -> Encoding: ...

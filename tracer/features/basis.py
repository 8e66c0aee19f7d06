"""The protocol of a feature basis: what the sweep asks of transcoders or neurons.

A basis is bound to a model; an `Encoding` is what it makes of one record. Vectors are given at the residual stream,
with norm scales held: a read vector already holds the gain of the norm before the MLP, a write vector that of the norm
after it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tracer.errors import Progress, silent
from tracer.features.points import Skip
from tracer.model.record import Record


@dataclass(frozen=True)
class FeatureSet:
    """Features at positions, sorted by (layer, position, feature). All int64, shape (n,)."""

    layer: Tensor
    position: Tensor
    feature: Tensor

    def __len__(self) -> int:
        return len(self.layer)

    def __getitem__(self, index: Tensor | slice) -> "FeatureSet":
        return FeatureSet(self.layer[index], self.position[index], self.feature[index])

    def span(self, layer: int) -> slice:
        """Where the features of one layer lie."""
        first = int((self.layer < layer).sum())
        return slice(first, first + int((self.layer == layer).sum()))


class Encoding(Protocol):
    """One prompt seen through a basis."""

    n_active: int  # features with an activation at a position that is not excluded
    cross_layer: bool  # do features write to later layers too

    def active(self) -> FeatureSet:
        """All of them."""
        ...

    def activation(self, features: FeatureSet) -> Tensor:
        """(n,): also what a feature's row sums to. Of a transcoder it equals the pre-activation, as it is active."""
        ...

    def read(self, layer: int, position: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Read vectors (n, D) at the stream before the MLP, and what a target owes to its own biases (n,)."""
        ...

    def written(self, features: FeatureSet) -> list[Tensor]:
        """For each layer what is written there, (m, D) at the stream after its MLP: write vectors × activations.

        m are the features of this layer; if they write across layers, all up to the end of this layer.
        """
        ...

    def constant(self, layer: int) -> Tensor | None:
        """(T, D): what the MLP of `layer` writes whatever it reads (b_dec), at the stream; None where it is zero."""
        ...

    def skip(self, layer: int) -> Skip | None:
        """The linear skip of a layer's transcoder, if it has one."""
        ...


class Basis(Protocol):
    name: str  # "neurons", or the reference of a transcoder set
    n_features: int  # of one layer
    reads_at: str  # one of points.READ_HOOKS, or points.NEURON_HOOK
    writes_at: str  # one of points.WRITE_HOOKS
    zero_at_excluded: bool  # does an activation count as 0 at excluded positions
    fingerprint: str
    selects_by_attribution: bool  # by one backward pass of total attribution; else greedily, by influence so far
    default_nodes: int

    def encode(self, record: Record, excluded: list[int], progress: Progress = silent) -> Encoding:
        """`progress` hears of each layer of phase "encode", and what it raises stops the encoding."""
        ...

    def activations(self, record: Record, layer: int, feature: int) -> Tensor:
        """(T,): one feature at each token, excluded positions included."""
        ...

    def reader(self, layer: int, features: Tensor) -> Callable[[Tensor], Tensor]:
        """Activations (T, n) of some features (n,) as a function of what is at `reads_at`, excluded positions too."""
        ...

    def write_vectors(self, layer: int, features: Tensor) -> Tensor:
        """(n, slots, D) at `writes_at`: slot j writes to layer + j."""
        ...

    def skip_matrix(self, layer: int) -> Tensor | None:
        """(D, D): from what is at `reads_at` to `writes_at`; None without a linear skip."""
        ...

    def output_direction(self, layer: int, feature: int) -> Tensor:
        """(D,): a write vector at the stream, with weights of norms but without their scales."""
        ...

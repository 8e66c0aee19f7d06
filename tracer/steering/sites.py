"""Where edits of one layer read and write in a batch of runs, a row each. Knows nothing of protocols' held values.

Rows share the prompt; a run begins at the position `first` (all before it is as it was).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tracer.features.basis import Basis
from tracer.steering.edits import Placed, Push

Place = tuple[int, int, int]  # layer, position, feature


class Reading:
    """Some features of one layer at (row, position), k of them, of n features at m different places."""

    def __init__(
        self,
        basis: Basis,
        layer: int,
        rows: Sequence[int],
        positions: Sequence[int],
        features: Sequence[int],
        excluded: list[int],
        device: torch.device,
    ) -> None:
        self.layer = layer
        self.row, self.position = torch.tensor(rows, device=device), torch.tensor(positions, device=device)
        self.features, self.column = torch.tensor(features, device=device).unique(return_inverse=True)
        where, self.line = torch.stack([self.row, self.position]).unique(dim=1, return_inverse=True)
        self._rows, self._positions = where
        self._read = basis.reader(layer, self.features)
        silent = excluded if basis.zero_at_excluded else []
        self._silent = torch.isin(self.position, torch.tensor(silent, dtype=torch.int64, device=device))

    def at_first(self, inputs: Tensor) -> Tensor:
        """(k,): activations in the run without edits. `inputs` (1, T, …) at the read point."""
        return self._of(inputs[0, self._positions])

    def __call__(self, inputs: Tensor, first: int) -> Tensor:
        """(k,) in a batch of runs. `inputs` (B, T − first, …)."""
        return self._of(inputs[self._rows, self._positions - first])

    def _of(self, lines: Tensor) -> Tensor:
        return self._read(lines)[self.line, self.column].masked_fill(self._silent, 0)


class Site(Reading):
    """The edits of one layer, of all rows."""

    def __init__(
        self,
        basis: Basis,
        layer: int,
        entries: Sequence[tuple[int, Placed]],
        excluded: list[int],
        device: torch.device,
    ) -> None:
        placed = [p for _, p in entries]
        super().__init__(
            basis,
            layer,
            [row for row, _ in entries],
            [p.position for p in placed],
            [p.feature for p in placed],
            excluded,
            device,
        )
        self.vectors = basis.write_vectors(layer, self.features)  # (n, slots, D)
        self.factor = torch.tensor([p.factor for p in placed], dtype=torch.float32, device=device)
        self.plus = torch.tensor([p.plus for p in placed], dtype=torch.float32, device=device)
        self.before = self.value = torch.zeros(len(placed), device=device)

    def resolve(self, inputs: Tensor) -> None:
        """Take the activations without edits, and turn factors into values."""
        self.before = self.at_first(inputs)
        self.value = self.factor * self.before + self.plus

    def writes(self, to: int, current: Tensor) -> Tensor:
        """(k, D): what is added at layer `to`, measured from `current` activations (k,)."""
        return (self.value - current)[:, None] * self.vectors[self.column, to - self.layer]

    @property
    def reaches(self) -> range:
        """The layers that these features write to."""
        return range(self.layer, self.layer + self.vectors.shape[1])


class Changes:
    """What edits add to the MLP outputs of a batch, by layer: (B, T − first, D) each."""

    def __init__(self, rows: int, first: int, n_tokens: int) -> None:
        self.shape, self.first = (rows, n_tokens - first), first
        self.at: dict[int, Tensor] = {}

    def add(self, to: int, rows: Tensor, positions: Tensor, vectors: Tensor) -> None:
        if to not in self.at:
            self.at[to] = vectors.new_zeros(*self.shape, vectors.shape[1])
        self.at[to].index_put_((rows, positions - self.first), vectors, accumulate=True)

    def edit(self, site: Site, layers: Sequence[int], current: Tensor) -> None:
        for to in layers:
            self.add(to, site.row, site.position, site.writes(to, current))

    def push(self, row: int, push: Push, size: int, device: torch.device) -> None:
        """A random direction, the same for the same seed on every device."""
        generator = torch.Generator().manual_seed(push.seed)
        vector = torch.randn(size, generator=generator)
        vector = (vector * (push.norm / vector.norm())).to(device)
        where = torch.tensor([row], device=device), torch.tensor([push.position], device=device)
        self.add(push.layer, *where, vector[None])

    def added(self, to: int) -> Callable[[nn.Module, tuple, Tensor], Tensor]:
        """A hook on the module at whose output features of layer `to` write."""
        return lambda _m, _i, output: output + self.at[to] if to in self.at else output

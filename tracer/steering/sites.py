"""Where edits of one layer read and write in a batch of runs, a row each. Knows nothing of protocols' held values.

Rows share the prompt; a run begins at the position `first` (all before it is as it was).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from tracer.features.basis import Basis
from tracer.features.points import output_module, watch_input
from tracer.model.anatomy import Anatomy
from tracer.model.forward import Hooks
from tracer.steering.edits import Placed, Push

Place = tuple[int, int, int]  # layer, position, feature


class Known:
    """Some features of one layer: how their activations are read, and what they write; asked of the basis once."""

    def __init__(self, basis: Basis, layer: int, features: Iterable[int], device: torch.device) -> None:
        self.layer, self.zero_at_excluded = layer, basis.zero_at_excluded
        self.features = torch.tensor(sorted(set(features)), device=device)  # (n,)
        self.read = basis.reader(layer, self.features)
        self._basis = basis

    @cached_property
    def vectors(self) -> Tensor:
        """(n, slots, D)"""
        return self._basis.write_vectors(self.layer, self.features)


class Reading:
    """Some of the known features of one layer at (row, position), k of them, at m different places."""

    def __init__(
        self,
        known: Known,
        rows: Sequence[int],
        positions: Sequence[int],
        features: Sequence[int],
        excluded: list[int],
    ) -> None:
        self.known, self.layer, self.features = known, known.layer, known.features
        device = known.features.device
        self.row, self.position = torch.tensor(rows, device=device), torch.tensor(positions, device=device)
        self.column = torch.searchsorted(known.features, torch.tensor(features, device=device))
        where, self.line = torch.stack([self.row, self.position]).unique(dim=1, return_inverse=True)
        self._rows, self._positions = where
        silent = excluded if known.zero_at_excluded else []
        self._silent = torch.isin(self.position, torch.tensor(silent, dtype=torch.int64, device=device))

    def at_first(self, inputs: Tensor) -> Tensor:
        """(k,): activations in the run without edits. `inputs` (1, T, …) at the read point."""
        return self._of(inputs[0, self._positions])

    def __call__(self, inputs: Tensor, first: int) -> Tensor:
        """(k,) in a batch of runs. `inputs` (B, T − first, …)."""
        return self._of(inputs[self._rows, self._positions - first])

    def _of(self, lines: Tensor) -> Tensor:
        return self.known.read(lines)[self.line, self.column].masked_fill(self._silent, 0)


class Site(Reading):
    """The edits of one layer, of all rows. `before` (k,): the activations that the values are taken from; None where
    they are those of the running pass, as at generated tokens."""

    def __init__(self, known: Known, entries: Sequence[tuple[int, Placed]], excluded: list[int]) -> None:
        placed = [p for _, p in entries]
        rows = [row for row, _ in entries]
        super().__init__(known, rows, [p.position for p in placed], [p.feature for p in placed], excluded)
        device = known.features.device
        self.factor = torch.tensor([p.factor for p in placed], dtype=torch.float32, device=device)
        self.plus = torch.tensor([p.plus for p in placed], dtype=torch.float32, device=device)
        self.before: Tensor | None = None

    def value(self, current: Tensor) -> Tensor:
        """(k,): what the features are set to."""
        return self.factor * (current if self.before is None else self.before) + self.plus

    def writes(self, to: int, current: Tensor) -> Tensor:
        """(k, D): what is added at layer `to`, measured from `current` activations (k,)."""
        return (self.value(current) - current)[:, None] * self.known.vectors[self.column, to - self.layer]

    @property
    def reaches(self) -> range:
        """The layers that these features write to."""
        return range(self.layer, self.layer + self.known.vectors.shape[1])


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

    def act(
        self,
        hooks: Hooks,
        anatomy: Anatomy,
        basis: Basis,
        sites: Sequence[Site],
        lowest: int,
        writes: Callable[[int], bool],
        measured: bool,
    ) -> None:
        """Let all of these act in a pass of the layers from `lowest` on, at the layers that `writes` allows.

        `measured`: from the activations of the running pass, so that features end at their values; else from those
        without edits.
        """
        for site in sites:
            layers = [at for at in site.reaches if writes(at)]
            if measured:

                def take(inputs: Tensor, site: Site = site, layers: list[int] = layers) -> None:
                    self.edit(site, layers, site(inputs, self.first))

                watch_input(hooks, anatomy, anatomy.layers[site.layer], basis.reads_at, take, whole=True)
            else:
                assert site.before is not None
                self.edit(site, layers, site.before)
        for at in range(lowest, len(anatomy.layers)):
            hooks.change(output_module(anatomy.layers[at], basis.writes_at), self.added(at))

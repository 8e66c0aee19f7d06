"""What controls are drawn from: the edited features of each prompt of a run, their sizes, and others that could stand
in for them. The size of a write is |activation| times the length of the write vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import FeatureSet
from tracer.replacement import ReplacementModel
from tracer.steering.edits import Edit, Placed, Push, place
from tracer.steering.protocols import Protocol

Which = tuple[int, int]  # layer, feature


@dataclass(frozen=True)
class Size:
    """One edited feature on one prompt."""

    placed: Placed
    activation: float
    norm: float  # of what it writes to the layers that the protocol lets it write to

    @property
    def change(self) -> float:
        return self.placed.factor * self.activation + self.placed.plus - self.activation

    @property
    def which(self) -> Which:
        return self.placed.layer, self.placed.feature


class PromptSizes:
    """One prompt of a run, with its record and the activations that controls ask for."""

    def __init__(
        self,
        model: ReplacementModel,
        ids: list[int],
        edits: Sequence[Edit],
        protocol: Protocol,
        progress: Progress = silent,
    ) -> None:
        self.model, self.ids, self.protocol = model, ids, protocol
        self.excluded = set(model.excluded_positions(ids))
        self._record = model.record(ids, progress)
        self.encoding = model.basis.encode(self._record, sorted(self.excluded), progress)
        self._layers: dict[int, FeatureSet] = {}
        self._rows: dict[Which, list[float]] = {}  # activations of a feature at each token
        self._norms: dict[Which, float] = {}
        (plain,) = model.without_donors([edits])
        only = [e for e in plain if isinstance(e, Edit)]
        placed = place(only, len(ids), model.n_layers, model.basis.n_features, generating=True)
        found = [
            Size(p, self.activation(p.layer, p.position, p.feature), self.norm(p.layer, p.feature)) for p in placed
        ]
        self.edited = [size for size in found if size.norm > 0]  # the others write outside the range held

    def activation(self, layer: int, position: int, feature: int) -> float:
        if self.model.basis.zero_at_excluded and position in self.excluded:
            return 0.0
        if (layer, feature) not in self._rows:
            self._rows[layer, feature] = self._row(layer, feature)
        return self._rows[layer, feature][position]

    def _row(self, layer: int, feature: int) -> list[float]:
        if not self.model.basis.zero_at_excluded:
            return self.model.activations(self._record, layer, feature).tolist()
        # the encoding has all that are active: the others are 0, and the encoder need not be read again
        here = self.active(layer)
        mine = here[here.feature == feature]
        row = [0.0] * len(self.ids)
        for at, value in zip(mine.position.tolist(), self.encoding.activation(mine).tolist(), strict=True):
            row[at] = float(value)
        return row

    def active(self, layer: int) -> FeatureSet:
        """The active features of one layer, kept without those of the others."""
        if layer not in self._layers:
            every = self.encoding.active()
            self._layers[layer] = every[(every.layer == layer).nonzero()[:, 0]]
        return self._layers[layer]

    def norm(self, layer: int, feature: int) -> float:
        if (layer, feature) not in self._norms:
            one = torch.tensor([feature], device=self.model.device)
            self._norms[layer, feature] = float(self.norms(layer, one)[0])
        return self._norms[layer, feature]

    def norms(self, layer: int, features: Tensor) -> Tensor:
        """(n,): the length of what features write, over the layers that the protocol lets them write to."""
        vectors = self.model.basis.write_vectors(layer, features)
        slots = [slot for slot in range(vectors.shape[1]) if self.protocol.writes(layer + slot)]
        return vectors[:, slots].flatten(1).norm(dim=1)

    def stand_in(self, size: Size, layer: int, position: int, feature: int) -> Edit:
        """Away from its activation or towards it, as the edit is, by a write of the edit's length."""
        own = self.activation(layer, position, feature)
        sign = np.sign(size.change) * (np.sign(size.activation) or 1) * (np.sign(own) or 1)
        plus = float(sign * abs(size.change) * size.norm / max(self.norm(layer, feature), 1e-30))
        return Edit(layer, position, feature, plus=plus)

    def pushes(self, size: Size, seed: int) -> list[Push]:
        """At each layer that the feature writes to a direction of its own: the same would not be random there."""
        at = size.placed
        vectors = self.model.basis.write_vectors(at.layer, torch.tensor([at.feature], device=self.model.device))[0]
        return [
            Push(at.layer + slot, at.position, abs(size.change) * norm, seed + slot)
            for slot, norm in enumerate(vectors.norm(dim=1).tolist())
            if self.protocol.writes(at.layer + slot)
        ]


def candidates(runs: list[PromptSizes], which: Which, avoid: set[Which], wanted: int) -> tuple[list[int], list[float]]:
    """Features that are active at one of the places of an edited feature at least, on each prompt, the nearest in size
    first; and their sizes, over those places, as a ratio to its. Raises TracerError if there are none."""
    layer, feature = which
    logs = [_log_ratios(run, which, avoid) for run in runs]
    common = set.intersection(*(set(log) for log in logs))
    if not common:
        raise TracerError(
            f"0 controls could be matched for layer {layer}, feature {feature}: no other feature is active there on all"
            " prompts; take random directions instead"
        )
    distance = {f: float(np.mean([abs(log[f]) for log in logs])) for f in common}
    near = sorted(common, key=lambda f: (distance[f], f))[:wanted]
    return near, [float(np.exp(np.mean([log[f] for log in logs]))) for f in near]


def _log_ratios(run: PromptSizes, which: Which, avoid: set[Which]) -> dict[int, float]:
    layer, _ = which
    own = [size for size in run.edited if size.which == which]
    here = run.active(layer)
    places = torch.tensor([size.placed.position for size in own], device=here.position.device)
    here = here[torch.isin(here.position, places)]
    features = here.feature.cpu().numpy()
    if not len(features):
        return {}
    norms = run.norms(layer, here.feature).cpu().numpy()
    mine = sum(abs(size.activation) for size in own) * own[0].norm
    size = np.abs(run.encoding.activation(here).cpu().numpy()) * norms
    if mine == 0:  # it has no size yet, and write vectors are compared
        mine, size = own[0].norm, norms / np.bincount(features)[features]
    total = np.bincount(features, weights=size)
    found = [f for f in np.flatnonzero(total).tolist() if (layer, f) not in avoid]
    return {f: float(np.log(total[f] / mine)) for f in found}

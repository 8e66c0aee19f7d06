"""Matched controls: edits of the same size in the same places that should do nothing special (study/methods.md §4.2).

Control r is one set of edits with its own seed, matched over all prompts of a run. The size of a write is |activation|
times the length of the write vector. What a control writes is exactly as long as what the edit that it stands for
writes, on each prompt; the kinds differ in what else they keep. How near the features that stand in are by themselves
(in size, or in influence) is reported as a ratio.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tracer.errors import Progress, TracerError, silent
from tracer.graph.graph import Graph
from tracer.model.record import Record
from tracer.replacement import ReplacementModel
from tracer.steering.edits import Edit, Placed, Push, place

KINDS = {
    "features": "other active features of the same layer and position, the nearest in size",
    "directions": "random directions of the same length at the same layer and position",
    "positions": "the same features at other tokens, changed by the same amount",
    "influence": "features of about the same influence in the graph, wherever they are",
}
NEAREST = 10  # candidates for one feature at least, the nearest ones; more where so few give too few sets
TRIES = 50  # draws of one control, until it is none of those before

Edits = list[Edit | Push]


@dataclass(frozen=True)
class Control:
    seed: int
    prompts: list[Edits]  # the edits on each prompt
    ratio: float  # geometric mean over its features: own size (or influence), control to edit; 1 is a perfect match
    worst: float  # the ratio that lies farthest from 1


@dataclass(frozen=True)
class Controls:
    kind: str
    wanted: int
    sets: list[Control]
    short: str | None  # why there are fewer than wanted, and what could be done


@dataclass(frozen=True)
class _Size:
    """One edited feature on one prompt."""

    placed: Placed
    activation: float
    norm: float  # of its write vectors together

    @property
    def change(self) -> float:
        return self.placed.factor * self.activation + self.placed.plus - self.activation


class _Prompt:
    """One prompt of a run, with its record and the activations that controls ask for."""

    def __init__(self, model: ReplacementModel, ids: list[int], edits: Sequence[Edit]) -> None:
        self.model, self.ids = model, ids
        self.excluded = set(model.excluded_positions(ids))
        self.record: Record = model.record(ids)
        self.encoding = model.basis.encode(self.record, sorted(self.excluded))
        (plain,) = model.without_donors([edits])
        only = [e for e in plain if isinstance(e, Edit)]
        placed = place(only, len(ids), model.n_layers, model.basis.n_features, generating=True)
        self.edited = [_Size(p, self.activation(p.layer, p.position, p.feature), self.norm(p)) for p in placed]

    def activation(self, layer: int, position: int, feature: int) -> float:
        if self.model.basis.zero_at_excluded and position in self.excluded:
            return 0.0
        return float(self.model.activations(self.record, layer, feature)[position])

    def norm(self, p: Placed) -> float:
        vectors = self.model.basis.write_vectors(p.layer, torch.tensor([p.feature], device=self.model.device))
        return float(vectors.norm())


@torch.no_grad()
def matched(
    model: ReplacementModel,
    prompts: Sequence[Sequence[int]],
    edits: Sequence[Edit],
    kind: str = "features",
    n: int = 20,
    seed: int = 0,
    graph: Graph | None = None,
    progress: Progress = silent,
) -> Controls:
    """n sets of controls for some edits, the same sets on all prompts; control r is drawn with seed + r.

    Edits that begin after the prompt are left out. `graph`: of the one prompt, for kind "influence". Raises TracerError
    for an unknown kind, for edits that change nothing, and where not one set can be matched.
    """
    if kind not in KINDS:
        raise TracerError(f"there are no controls of kind {kind!r}; there are {', '.join(KINDS)}")
    if n < 1:
        raise TracerError(f"{n} controls can't be drawn; ask for at least 1")
    runs = []
    for i, ids in enumerate(prompts):
        progress("controls", i / len(prompts))
        runs.append(_Prompt(model, list(ids), edits))
    sizes = {len(run.edited) for run in runs}
    if len(sizes) > 1:
        raise TracerError("the edits name different numbers of tokens on these prompts; name positions that all have")
    if not any(size.change for run in runs for size in run.edited):
        raise TracerError("these edits change nothing of the prompt: there is nothing to control for; choose others")
    draw = _DRAWS[kind](runs, graph, n)
    sets: list[Control] = []
    seen: set[tuple] = set()
    for r in range(n):
        generator = np.random.default_rng(seed + r)
        for _ in range(TRIES):
            key, per_prompt, ratios = draw(generator)
            if key not in seen:  # a set drawn twice would count twice
                seen.add(key)
                sets.append(_control(seed + r, per_prompt, ratios))
                break
    short = None
    if len(sets) < n:
        short = (
            f"only {len(sets)} of {n} controls could be matched: there are too few candidates;"
            " ask for fewer, or take random directions"
        )
    return Controls(kind, n, sets, short)


def share(effect: float, others: Sequence[float]) -> tuple[int, float]:
    """How many of the controls' effects are at least as large in the same direction, k, and (1 + k) / (n + 1).

    Where the edits do no more than any such set would, a share of at most α comes up in α of all cases (DESIGN §5).
    """
    k = sum(effect * other >= effect * effect for other in others)
    return k, (1 + k) / (len(others) + 1)


Drawn = tuple[tuple, list[Edits], list[float]]  # what tells sets apart, the edits on each prompt, ratios
Draw = Callable[[np.random.Generator], Drawn]


def _n_candidates(n: int, n_features: int) -> int:
    """Enough for several times n different sets."""
    return max(NEAREST, math.ceil((4 * n) ** (1 / n_features)))


def _features(runs: list[_Prompt], _graph: Graph | None, n: int) -> Draw:
    """For each edited feature the nearest others of its layer that are active where it is edited, on all prompts."""
    first = [size.placed for size in runs[0].edited]
    groups: dict[tuple[int, int], list[int]] = {}
    for i, at in enumerate(first):  # one feature edited at several tokens has one stand-in
        groups.setdefault((at.layer, at.feature), []).append(i)
    wanted = _n_candidates(n, len(groups))
    near = {which: _candidates(runs, index, set(groups), wanted) for which, index in groups.items()}

    def draw(generator: np.random.Generator) -> Drawn:
        picks: dict[tuple[int, int], int] = {}
        ratios = []
        for which, (features, ratio) in near.items():
            taken = {f for (layer, _), f in picks.items() if layer == which[0]}
            free = [k for k, f in enumerate(features) if f not in taken]
            if not free:
                raise _none(which, "too few others are left for one set")
            k = free[int(generator.integers(len(free)))]
            picks[which] = features[k]
            ratios.append(ratio[k])

        def stand_in(run: _Prompt, size: _Size) -> Edit:
            at = size.placed
            return _stand_in(run, size, at.layer, at.position, picks[at.layer, at.feature])

        per_prompt: list[Edits] = [[stand_in(run, size) for size in run.edited] for run in runs]
        return tuple(picks.values()), per_prompt, ratios

    return draw


def _candidates(
    runs: list[_Prompt], index: list[int], circuit: set[tuple[int, int]], wanted: int
) -> tuple[list[int], list[float]]:
    """Features that are active at all places of these edits, and their sizes as a ratio to that of the edited one."""
    logs: list[dict[int, float]] = []
    for run, i in ((run, i) for run in runs for i in index):
        own, active = run.edited[i], run.encoding.active()
        at = own.placed
        here = active[active.span(at.layer)]
        here = here[here.position == at.position]
        norms = run.model.basis.write_vectors(at.layer, here.feature).flatten(1).norm(dim=1).cpu().numpy()
        size, mine = norms, own.norm
        if own.activation != 0:  # else there is no size yet, and write vectors are compared
            size, mine = np.abs(run.encoding.activation(here).cpu().numpy()) * norms, abs(own.activation) * own.norm
        log = np.log(np.maximum(size, 1e-30) / max(mine, 1e-30))
        logs.append(dict(zip(here.feature.tolist(), log.tolist(), strict=True)))
    layer, feature = runs[0].edited[index[0]].placed.layer, runs[0].edited[index[0]].placed.feature
    common = set.intersection(*(set(log) for log in logs))
    found = [f for f in common if (layer, f) not in circuit]
    if not found:
        raise _none((layer, feature), "no other feature is active there on all prompts")
    distance = {f: float(np.mean([abs(log[f]) for log in logs])) for f in found}
    near = sorted(found, key=lambda f: (distance[f], f))[:wanted]
    return near, [float(np.exp(np.mean([log[f] for log in logs]))) for f in near]


def _stand_in(run: _Prompt, size: _Size, layer: int, position: int, feature: int) -> Edit:
    """Away from its activation or towards it, as the edit is, by a write of the edit's length."""
    own = run.activation(layer, position, feature)
    sign = np.sign(size.change) * (np.sign(size.activation) or 1) * (np.sign(own) or 1)
    norm = run.norm(Placed(layer, position, feature, 1, 0))
    return Edit(layer, position, feature, plus=float(sign * abs(size.change) * size.norm / norm))


def _directions(runs: list[_Prompt], _graph: Graph | None, _n: int) -> Draw:
    def draw(generator: np.random.Generator) -> Drawn:
        states = generator.integers(2**32, size=len(runs[0].edited)).tolist()
        per_prompt: list[Edits] = []
        for run in runs:
            pushes: Edits = []
            for size, state in zip(run.edited, states, strict=True):
                at = size.placed
                vectors = run.model.basis.write_vectors(at.layer, torch.tensor([at.feature], device=run.model.device))[
                    0
                ]
                for slot, norm in enumerate(vectors.norm(dim=1).tolist()):
                    # the same direction at all layers that a cross-layer feature writes to would not be random there
                    pushes.append(Push(at.layer + slot, at.position, abs(size.change) * norm, state + slot))
            per_prompt.append(pushes)
        return tuple(states), per_prompt, [1.0]

    return draw


def _positions(runs: list[_Prompt], _graph: Graph | None, _n: int) -> Draw:
    """The same features, all moved by the same number of tokens, where the prompts have them."""

    def fits(run: _Prompt, shift: int) -> bool:
        places = [size.placed.position + shift for size in run.edited]
        return shift != 0 and all(0 <= p < len(run.ids) and p not in run.excluded for p in places)

    longest = max(len(run.ids) for run in runs)
    shifts = [s for s in range(-longest, longest) if all(fits(run, s) for run in runs)]
    if not shifts:
        raise TracerError("these edits fit no other tokens of the prompts; take other controls or longer prompts")

    def draw(generator: np.random.Generator) -> Drawn:
        shift = shifts[int(generator.integers(len(shifts)))]
        per_prompt: list[Edits] = [
            [
                Edit(s.placed.layer, s.placed.position + shift, s.placed.feature, plus=float(s.change))
                for s in run.edited
            ]
            for run in runs
        ]
        return (shift,), per_prompt, [1.0]

    return draw


def _influence(runs: list[_Prompt], graph: Graph | None, n: int) -> Draw:
    if graph is None or len(runs) != 1:
        raise TracerError("controls of the same influence need one prompt and its graph; take other controls")
    (run,), layout = runs, graph.layout
    edited = {f"{s.placed.layer}_{s.placed.feature}_{s.placed.position}": s for s in run.edited}
    unknown = [name for name in edited if name not in graph.index]
    if unknown:
        raise TracerError(f"{unknown[0]} is no node of the graph, so it has no influence; take other controls")
    influence = np.maximum(graph.influence[: layout.n_features], 1e-30)
    others = np.array([i for i in range(layout.n_features) if graph.ids[i] not in edited])
    near, ratios = [], []
    for name in edited:
        log = np.log(influence[others] / influence[graph.index[name]])
        order = np.argsort(np.abs(log), kind="stable")[: _n_candidates(n, len(edited))]
        near.append(others[order])
        ratios.append(np.exp(log[order]))

    def draw(generator: np.random.Generator) -> Drawn:
        taken: set[int] = set()
        edits: Edits = []
        used = []
        for size, nodes, ratio in zip(run.edited, near, ratios, strict=True):
            free = [k for k, node in enumerate(nodes.tolist()) if node not in taken]
            if not free:
                raise TracerError("too few nodes of the same influence for one set of controls; take other controls")
            k = free[int(generator.integers(len(free)))]
            node = int(nodes[k])
            taken.add(node)
            used.append(float(ratio[k]))
            at = int(layout.layer[node]), int(layout.position[node]), int(layout.feature[node])
            edits.append(_stand_in(run, size, *at))
        return tuple(sorted(taken)), [edits], used

    return draw


_DRAWS: dict[str, Callable[[list[_Prompt], Graph | None, int], Draw]] = {
    "features": _features,
    "directions": _directions,
    "positions": _positions,
    "influence": _influence,
}


def _control(seed: int, per_prompt: list[Edits], ratios: list[float]) -> Control:
    logs = np.log(ratios)
    return Control(seed, per_prompt, float(np.exp(logs.mean())), float(np.exp(logs[np.argmax(np.abs(logs))])))


def _none(which: tuple[int, int], why: str) -> TracerError:
    return TracerError(
        f"0 controls could be matched for layer {which[0]}, feature {which[1]}: {why}; take random directions instead"
    )

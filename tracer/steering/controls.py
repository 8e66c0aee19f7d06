"""Matched controls: edits of the same size in the same places that should do nothing special (study/methods.md §4.2).

Control r is one set of edits with its own seed, matched over all prompts of a run. What a control writes is exactly as
long as what the edit that it stands for writes, measured from the run without edits, on each prompt; the kinds differ
in what else they keep. How near the features that stand in are by themselves (in size, or in influence) is reported as
a ratio.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from tracer.errors import Progress, TracerError, silent
from tracer.graph.graph import Graph
from tracer.memory import in_memory
from tracer.replacement import ReplacementModel
from tracer.steering.candidates import PromptSizes, Size, Which, candidates
from tracer.steering.edits import Edit, Push
from tracer.steering.protocols import choose


class Kind(NamedTuple):
    """In words."""

    name: str
    what: str


KINDS = {
    "features": Kind("other features", "other active features of the same layer and position, the nearest in size"),
    "directions": Kind("random directions", "random directions of the same length at the same layer and position"),
    "positions": Kind("other tokens", "the same features at other tokens, changed by the same amount"),
    "sign": Kind(
        "the opposite edit", "the same features at the same tokens, changed by the same amount the other way: one set"
    ),
    "influence": Kind(
        "features as influential", "features of about the same influence in the graph, wherever they are"
    ),
}
WITHOUT_GRAPH = tuple(kind for kind in KINDS if kind != "influence")
NEAREST = 10  # candidates for one feature at least, the nearest ones; more where so few give too few sets
TRIES = 50  # draws of one control, until it is none of those before

Edits = list[Edit | Push]


def kinds_in_words(kinds: Iterable[str]) -> str:
    return "; ".join(f"{kind}: {KINDS[kind].what}" for kind in kinds)


@dataclass(frozen=True)
class Control:
    seed: int  # with which it was drawn; kind, n and first seed of the run are needed to draw it again
    prompts: list[Edits]  # the edits on each prompt
    ratio: float  # geometric mean over its features: own size (or influence), control to edit; 1 is a perfect match
    worst: float  # the ratio that lies farthest from 1


@dataclass(frozen=True)
class Controls:
    kind: str
    wanted: int
    sets: list[Control]
    short: str | None  # why there are fewer than wanted, and what could be done


@in_memory
@torch.no_grad()
def matched(
    model: ReplacementModel,
    prompts: Sequence[Sequence[int]],
    edits: Sequence[Edit] | Sequence[Sequence[Edit]],
    kind: str = "features",
    n: int = 20,
    seed: int = 0,
    graph: Graph | None = None,
    protocol: str = "clamp",
    layers: tuple[int, int] | None = None,
    avoid: Iterable[Which] = (),
    progress: Progress = silent,
) -> Controls:
    """n sets of controls for some edits, the same sets on all prompts; control r is drawn with seed + r.

    `edits`: the same on all prompts, or a list of them for each: the same features, where they are on that prompt.
    `graph`: of the one prompt, for kind "influence". `protocol`, `layers`: those of the run, as they say where an edit
    writes. `avoid`: (layer, feature) of the rest of the circuit, none of which may stand in. Controls are for the next
    token: edits of generated tokens have none. Raises TracerError for an unknown kind, for edits that change nothing,
    and where not one set can be matched.
    """
    if kind not in KINDS:
        raise TracerError(f"there are no controls of kind {kind!r}; there are {', '.join(KINDS)}")
    if n < 1 or not prompts:
        raise TracerError(f"{n} controls on {len(prompts)} prompts can't be drawn; ask for at least 1 on 1")
    held = choose(protocol, layers, model.n_layers)
    runs = []
    for i, (ids, mine) in enumerate(zip(prompts, _of_each(edits, len(prompts)), strict=True)):

        def told(_phase: str, fraction: float, i: int = i) -> None:
            progress("controls", (i + fraction) / len(prompts))

        runs.append(PromptSizes(model, list(ids), mine, held, told))
    if any(Counter(s.which for s in run.edited) != Counter(s.which for s in runs[0].edited) for run in runs):
        raise TracerError("the edits name different numbers of tokens on these prompts; name positions that all have")
    if not any(size.change for run in runs for size in run.edited):
        raise TracerError("these edits change nothing of the prompt: there is nothing to control for; choose others")
    draw = _DRAWS[kind](runs, graph, n, {*avoid, *(size.which for size in runs[0].edited)})
    sets: list[Control] = []
    seen: set[tuple] = set()
    for r in range(n):
        generator = np.random.default_rng(seed + r)
        for _ in range(TRIES):
            drawn = draw(generator)
            if drawn is not None and drawn.key not in seen:  # a set drawn twice would count twice
                seen.add(drawn.key)
                sets.append(drawn.control(seed + r))
                break
    if not sets:
        raise TracerError("0 controls could be matched: too few other features for one set; take random directions")
    short = None
    if len(sets) < n:
        why = "there is one other way" if kind == "sign" else "there are too few candidates"
        short = f"only {len(sets)} of {n} controls could be matched: {why}; ask for fewer, or take random directions"
    return Controls(kind, n, sets, short)


def _of_each(edits: Sequence[Edit] | Sequence[Sequence[Edit]], n: int) -> list[list[Edit]]:
    each = [list(mine) for mine in edits if not isinstance(mine, Edit)]
    return each or [[edit for edit in edits if isinstance(edit, Edit)]] * n


def share(effect: float, others: Sequence[float]) -> tuple[int, float]:
    """How many of the controls' effects are at least as large in the same direction, k, and (1 + k) / (n + 1).

    Where the edits do no more than any such set would, a share of at most α comes up in α of all cases (DESIGN §5).
    """
    k = sum(effect * other >= effect * effect for other in others)
    return k, (1 + k) / (len(others) + 1)


@dataclass(frozen=True)
class _Drawn:
    key: tuple  # what tells sets apart
    edits: Callable[[], list[Edits]]  # on each prompt
    ratios: list[float]

    def control(self, seed: int) -> Control:
        logs = np.log(self.ratios)
        return Control(seed, self.edits(), float(np.exp(logs.mean())), float(np.exp(logs[np.argmax(np.abs(logs))])))


Draw = Callable[[np.random.Generator], _Drawn | None]
"""None: a dead end, as one feature can't stand in for two."""


def _n_candidates(n: int, n_features: int) -> int:
    """Enough for several times n different sets."""
    return max(NEAREST, math.ceil((4 * n) ** (1 / n_features)))


def _features(runs: list[PromptSizes], _graph: Graph | None, n: int, avoid: set[Which]) -> Draw:
    """For each edited feature, at however many tokens, one of the nearest others of its layer."""
    edited = list(dict.fromkeys(size.which for size in runs[0].edited))
    near = {which: candidates(runs, which, avoid, _n_candidates(n, len(edited))) for which in edited}

    def draw(generator: np.random.Generator) -> _Drawn | None:
        picks: dict[Which, int] = {}
        ratios = []
        for which, (features, ratio) in near.items():
            taken = {f for (layer, _), f in picks.items() if layer == which[0]}
            free = [k for k, f in enumerate(features) if f not in taken]
            if not free:
                return None
            k = free[int(generator.integers(len(free)))]
            picks[which] = features[k]
            ratios.append(ratio[k])

        def edits() -> list[Edits]:
            return [
                [run.stand_in(s, s.placed.layer, s.placed.position, picks[s.which]) for s in run.edited] for run in runs
            ]

        return _Drawn(tuple(picks.values()), edits, ratios)

    return draw


def _directions(runs: list[PromptSizes], _graph: Graph | None, _n: int, _avoid: set[Which]) -> Draw:
    edited = list(dict.fromkeys(size.which for size in runs[0].edited))

    def draw(generator: np.random.Generator) -> _Drawn:
        seeds = dict(zip(edited, generator.integers(2**32, size=len(edited)).tolist(), strict=True))

        def edits() -> list[Edits]:
            return [[push for size in run.edited for push in run.pushes(size, seeds[size.which])] for run in runs]

        return _Drawn(tuple(seeds.values()), edits, [1.0])

    return draw


def _positions(runs: list[PromptSizes], _graph: Graph | None, _n: int, _avoid: set[Which]) -> Draw:
    """The same features, all moved by the same number of tokens, to places where none of them is edited."""

    def fits(run: PromptSizes, shift: int) -> bool:
        edited = {(size.which, size.placed.position) for size in run.edited}
        moved = {(which, position + shift) for which, position in edited}
        return not edited & moved and all(0 <= p < len(run.ids) and p not in run.excluded for _, p in moved)

    longest = max(len(run.ids) for run in runs)
    shifts = [s for s in range(-longest, longest) if all(fits(run, s) for run in runs)]
    if not shifts:
        raise TracerError("these edits fit no other tokens of the prompts; take other controls or longer prompts")

    def draw(generator: np.random.Generator) -> _Drawn:
        shift = shifts[int(generator.integers(len(shifts)))]

        def edits() -> list[Edits]:
            return [[_moved(s, shift, s.change) for s in run.edited] for run in runs]

        return _Drawn((shift,), edits, [1.0])

    return draw


def _sign(runs: list[PromptSizes], _graph: Graph | None, _n: int, _avoid: set[Which]) -> Draw:
    def edits() -> list[Edits]:
        return [[_moved(s, 0, -s.change) for s in run.edited] for run in runs]

    return lambda _generator: _Drawn((), edits, [1.0])


def _moved(size: Size, shift: int, change: float) -> Edit:
    at = size.placed
    return Edit(at.layer, at.position + shift, at.feature, plus=float(change))


def _influence(runs: list[PromptSizes], graph: Graph | None, n: int, avoid: set[Which]) -> Draw:
    if graph is None or len(runs) != 1 or list(graph.token_ids) != runs[0].ids:
        raise TracerError("controls of the same influence need one prompt and its graph; take other controls")
    (run,), layout = runs, graph.layout
    names = [f"{s.placed.layer}_{s.placed.feature}_{s.placed.position}" for s in run.edited]
    unknown = [name for name in names if name not in graph.index]
    if unknown:
        raise TracerError(f"{unknown[0]} is no node of the graph, so it has no influence; take other controls")
    influence = np.maximum(graph.influence[: layout.n_features], 1e-30)
    places = list(zip(layout.layer.tolist(), layout.position.tolist(), layout.feature.tolist(), strict=True))
    others = np.array(
        [i for i, (layer, _, f) in enumerate(places) if (layer, f) not in avoid and run.protocol.writes(layer)],
        dtype=np.int64,
    )
    near = []
    for name in names:
        log = np.log(influence[others] / influence[graph.index[name]])
        order = np.argsort(np.abs(log), kind="stable")[: _n_candidates(n, len(names))]
        near.append((others[order].tolist(), np.exp(log[order]).tolist()))

    def draw(generator: np.random.Generator) -> _Drawn | None:
        picks: list[int] = []
        ratios = []
        for nodes, ratio in near:
            free = [k for k, node in enumerate(nodes) if node not in picks]
            if not free:
                return None
            k = free[int(generator.integers(len(free)))]
            picks.append(nodes[k])
            ratios.append(ratio[k])

        def edits() -> list[Edits]:
            return [[run.stand_in(size, *places[node]) for size, node in zip(run.edited, picks, strict=True)]]

        return _Drawn(tuple(sorted(picks)), edits, ratios)

    return draw


_DRAWS: dict[str, Callable[[list[PromptSizes], Graph | None, int, set[Which]], Draw]] = {
    "features": _features,
    "directions": _directions,
    "positions": _positions,
    "sign": _sign,
    "influence": _influence,
}

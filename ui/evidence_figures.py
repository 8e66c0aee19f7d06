"""The numbers that charts of a run are drawn from, on the page (Altair) and in the report (SVG). Draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.hypothesis import HypothesisBody
from lab.runs.keeping import Kept
from lab.runs.result import Against, PromptLine, Result
from lab.statistics import Interval

LONGEST = 30  # characters of a prompt beside its dot
MOST_SHARE = 300.0  # %
MOST_LINES = 100  # units in a dose curve
MOST_LABELS = 80  # prompts with a name beside each dot
NARROWEST = 60  # bars would fill a chart's width


@dataclass(frozen=True)
class Bar:
    left: float
    right: float
    sets: int


@dataclass(frozen=True)
class Dot:
    """A prompt that is not left out. Effects in the metric's unit."""

    label: str  # no two alike
    text: str
    effect: float  # what the claim is about
    controls: float | None  # None too where `effect` is counted from it
    measured: float  # what the edit did: of some kinds of claim not the same
    predicted: float | None


@dataclass(frozen=True)
class Doses:
    axis: tuple[float, ...]  # 1 is the dose that decides
    units: dict[str, tuple[float, ...]]  # effect at each; of many units only some
    n_units: int
    mean: tuple[float, ...]  # of all units


def bars(against: Against) -> list[Bar]:
    """Control sets by their mean effect; none so narrow that it can't be seen beside the edit's."""
    means = np.array(against.means)
    low, high = min(means.min(), against.effect), max(means.max(), against.effect)
    edges = np.histogram_bin_edges(means, bins="auto")
    if len(edges) - 1 > (most := max(1, int(NARROWEST * np.ptp(means) / (high - low or 1.0)))):
        edges = np.histogram_bin_edges(means, bins=most)
    counts, edges = np.histogram(means, bins=edges)
    return [Bar(float(a), float(b), int(n)) for a, b, n in zip(edges, edges[1:], counts, strict=False)]


def dots(body: HypothesisBody, found: Result) -> list[Dot]:
    """The largest effect in the claimed direction first; before there is one, the lowest."""
    direction = -1 if found.findings is None else found.findings.direction
    lines = [line for line in found.prompts if line.effect is not None]
    alone = len({line.unit for line in lines}) == len(lines)
    lines.sort(key=lambda line: -direction * (line.effect or 0.0))
    return [
        Dot(
            label=_label(line, alone),
            text=line.text,
            effect=line.effect,
            controls=None if body.kind == "specificity" else line.controls,
            measured=line.doses[0],
            predicted=line.predicted,
        )
        for line in lines
        if line.effect is not None
    ]


def doses(found: Result) -> Doses | None:
    """None where there is one dose alone, or the run is not complete. At 0 nothing is edited: there the effect is 0,
    and the lines go through that."""
    if found.findings is None or len(found.findings.doses) < 2:
        return None
    none = () if 0.0 in found.findings.doses else (0.0,)
    axis = np.array(found.findings.doses + none)
    by_unit: dict[str, list[tuple[float, ...]]] = {}
    for line in found.prompts:
        if line.doses:
            by_unit.setdefault(line.unit, []).append(line.doses + none)
    order = np.argsort(axis)
    units = {name: np.mean(effects, axis=0)[order] for name, effects in by_unit.items()}
    some = list(units)[:: -(-len(units) // MOST_LINES)]
    return Doses(
        axis=tuple(axis[order].tolist()),
        units={name: tuple(units[name].tolist()) for name in some},
        n_units=len(units),
        mean=tuple(np.mean(list(units.values()), axis=0).tolist()),
    )


def shares(found: Result) -> dict[str, list[tuple[str, float]]]:
    """Of each supernode that was looked at: prompts, with its activation under the edit in % of that without; those
    where it has none without are left out."""
    return {
        name: [
            (line.text, 100 * line.supernodes[n][1] / line.supernodes[n][0])
            for line in found.prompts
            if len(line.supernodes) > n and line.supernodes[n][0]
        ]
        for n, name in enumerate(found.watched)
    }


def share_reach(rows: dict[str, list[tuple[str, float]]]) -> tuple[float, float]:
    """An axis in %; of a supernode that hardly acts without the edit the share is huge, and says little."""
    values = [min(max(value, -MOST_SHARE), MOST_SHARE) for pairs in rows.values() for _, value in pairs]
    return reach([100.0, *values])


def kls(body: HypothesisBody, kept: Kept, found: Result) -> dict[str, list[tuple[str, float]]]:
    """Nats, under the edit: on the prompts that were tested, and where it should do little."""
    off = [
        (prompt.text, figures.doses[0].kl)
        for n, prompt in enumerate(body.off_target, start=1)
        if (figures := kept.prompts.get(f"off-target {n}")) is not None
    ]
    return {"test prompts": [(p.text, p.kl) for p in found.prompts if p.kl is not None], "off-target prompts": off}


def reach(values: Sequence[float], interval: Interval | None = None, spare: float = 0.06) -> tuple[float, float]:
    """An axis that holds these and 0."""
    all_values = [0.0, *values, *([interval.low, interval.high] if interval is not None else [])]
    low, high = min(all_values), max(all_values)
    room = spare * ((high - low) or 1.0)
    return low - room, high + room


def _label(line: PromptLine, alone: bool) -> str:
    """By the unit, where each prompt is one; with its number, which the table has too."""
    name = line.unit if alone else line.text
    name = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    return f"{line.number} · {name}"

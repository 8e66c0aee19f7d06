"""The figures of a run as arrays, one value a unit: what the statistics take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.hypothesis import HypothesisBody
from lab.runs.bodies import ControlFigures, PromptFigures
from lab.statistics import by_unit


@dataclass(frozen=True)
class Effects:
    """Of the prompts that are not left out; P of them in U units, K doses, R sets. All in the metric's unit."""

    effect: np.ndarray  # (U,) of the edit; of a mediation what the mediators carry of it
    claimed: np.ndarray  # (U,) what the claim is about, as `claimed_effect`
    doses: np.ndarray  # (U, K) of the edit at each dose
    controls: list[np.ndarray]  # of each family (U, R): what its sets did where the edit did `effect`
    axis: np.ndarray  # (K,) doses: 1 is the primary one, 0 no edit; all 0 where that changes nothing
    scores: tuple[np.ndarray, np.ndarray]  # (U,) the metric without the edit and with it
    control_scores: list[np.ndarray]  # of each family (U, R) the metric with its sets
    donors: np.ndarray | None  # (U,) the metric on the donors without edits; None where a prompt lacks it


def effects_of(body: HypothesisBody, prompts: Sequence[PromptFigures]) -> Effects:
    """`prompts`: at least one, all finished and none left out."""
    families = [body.prompts[figures.number - 1].family for figures in prompts]

    def units(value: Callable[[PromptFigures], Any]) -> np.ndarray:
        return by_unit([value(figures) for figures in prompts], families)

    def by_family(value: Callable[[PromptFigures, ControlFigures], Any]) -> list[np.ndarray]:
        numbers = range(len(body.controls))
        return [by_unit([value(figures, figures.controls[n]) for figures in prompts], families) for n in numbers]

    whole = units(primary_effect)
    claimed = units(lambda figures: claimed_effect(body, figures))
    sizes = np.array([figures.sizes for figures in prompts]).sum(axis=0)
    return Effects(
        effect=claimed if body.kind == "mediation" else whole,
        claimed=claimed,
        doses=units(lambda figures: [dose.value - figures.baseline.value for dose in figures.doses]),
        controls=by_family(control_effects),
        axis=sizes / sizes[0] if sizes[0] else np.zeros_like(sizes),
        scores=(units(lambda figures: figures.baseline.value), units(lambda figures: figures.doses[0].value)),
        control_scores=by_family(lambda _figures, family: family.values[0]),
        donors=None if any(one.donor is None for one in prompts) else units(lambda figures: figures.donor),
    )


def primary_effect(figures: PromptFigures) -> float:
    """Of the edit at the primary dose."""
    return figures.doses[0].value - figures.baseline.value


def claimed_effect(body: HypothesisBody, figures: PromptFigures) -> float:
    """Of a mediation what is lost with the mediators held, of an equivalence the difference of the two edits, of a
    specificity the effect above the mean of the first family's sets. `lab.in_words.what_effect` says the same."""
    other = figures.held or figures.second or figures.baseline
    controls = controls_mean(figures) if body.kind == "specificity" else None
    return figures.doses[0].value - other.value - (controls or 0.0)


def controls_mean(figures: PromptFigures) -> float | None:
    """Of the sets of the first family; None without controls."""
    return float(np.mean(control_effects(figures, figures.controls[0]))) if figures.controls else None


def control_effects(figures: PromptFigures, family: ControlFigures) -> list[float]:
    """(R,) at the primary dose; of a mediation what the mediators carry of each, as of the edit."""
    if family.held:
        return [value - held for value, held in zip(family.values[0], family.held[0], strict=True)]
    return [value - figures.baseline.value for value in family.values[0]]

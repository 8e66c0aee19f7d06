"""Supported, refuted or inconclusive, by the rule that was frozen with the claim; never more certain than the data."""

import math
from dataclasses import dataclass
from typing import Literal

from lab.errors import LabError
from lab.hypothesis import SHOW_NOTHING_IS_THERE, Kind
from lab.statistics.checks import TIE, share_of, sign_of
from lab.statistics.effect import Interval
from lab.statistics.equivalence import Equivalence
from lab.statistics.reach import units_for
from lab.statistics.specificity import Specificity
from lab.statistics.threats import Circumstances, threats

Decision = Literal["supported", "refuted", "inconclusive"]

MEASURED = {  # what the interval is of
    "necessity": "effect",
    "sufficiency": "effect",
    "mediation": "mediated effect",
    "specificity": "effect above the controls'",
    "no_effect": "effect",
    "equivalence": "difference between the circuits",
}


@dataclass(frozen=True)
class Evidence:
    """What the rule needs of a record and of its run. Effects are in `unit`."""

    kind: Kind
    direction: int  # 1 or −1; without a meaning for `no_effect` and `equivalence`
    smallest: float  # effect that matters, ≥ 0
    unit: str  # of the metric: nats, probability, ranks
    alpha: float
    circumstances: Circumstances
    interval: Interval | None  # of what the kind measures, at level 1 − α or more
    why_none: str = ""  # where there is no interval: what `interval` said
    specificity: Specificity | None = None  # not of `no_effect` and `equivalence`
    equivalence: Equivalence | None = None  # of these two
    two_sided: bool = False  # how p was computed; the claim has a direction all the same
    corrected: float | None = None  # p over the notebook's claims
    correction: str = ""  # in words: Holm, 4 claims


@dataclass(frozen=True)
class Verdict:
    decision: Decision
    sentence: str
    threats: list[str]


def verdict(evidence: Evidence) -> Verdict:
    """The rule of DESIGN §5, with s the smallest effect that matters and [l, h] the interval of d·effect.

    A claim of an effect: *supported* = specificity p ≤ α (the larger of raw and corrected) and l > s; *refuted* =
    h < s: the interval inside ±s, on the other side, or both. `no_effect` and `equivalence`: *supported* = TOST's
    p ≤ α with margin s; *refuted* = the interval wholly outside ±s, on either side. All else is *inconclusive*, and so
    are too few units for α and effects without an interval. Raises LabError where the evidence doesn't fit the record:
    an interval of a lower level than 1 − α, another margin than s, no controls.
    """
    _refuse_unfit(evidence)
    run = evidence.circumstances
    needed = units_for(evidence.alpha, evidence.two_sided)
    decision: Decision
    if run.units < needed:
        decision, why = "inconclusive", f"{run.counted} can't reach α = {evidence.alpha:g}, which takes {needed}"
    elif evidence.interval is None:
        decision, why = "inconclusive", evidence.why_none or "there is no interval of the effect"
    elif evidence.kind in SHOW_NOTHING_IS_THERE:
        decision, why = _small(evidence, evidence.interval)
    else:
        decision, why = _large(evidence, evidence.interval)
    return Verdict(decision, f"{decision.capitalize()}: {why}.", threats(run))


def _large(evidence: Evidence, found: Interval) -> tuple[Decision, str]:
    assert evidence.specificity is not None  # _refuse_unfit
    p, p_words = _p(evidence, evidence.specificity.p)
    d, s = evidence.direction, evidence.smallest
    low, high = sorted((d * found.low, d * found.high))
    controls = (
        f"{evidence.specificity.as_much} of {len(evidence.specificity.controls)} control sets did as much"
        f"{' either way' if evidence.two_sided else ''} ({p_words})"
    )
    effect = _effect(evidence, found)
    bound = f"the smallest effect that matters ({d * s + 0.0:.3g} {evidence.unit})"  # + 0.0: never -0
    if high < s:
        where = "goes the other way" if high < 0 else f"stays short of {bound}"
        return "refuted", f"{effect} {where}; {controls}"
    if low > s:
        if p <= evidence.alpha:
            return "supported", f"{effect} lies beyond {bound}, and {controls}"
        return "inconclusive", f"{effect} lies beyond {bound}, but {controls}"
    return "inconclusive", f"{effect} may be more or less than {bound}; {controls}"


def _small(evidence: Evidence, found: Interval) -> tuple[Decision, str]:
    assert evidence.equivalence is not None  # _refuse_unfit
    p, p_words = _p(evidence, evidence.equivalence.p)
    s = evidence.smallest
    bound = f"±{s:.3g} {evidence.unit}, the smallest effect that matters"
    if p <= evidence.alpha:
        return "supported", f"{_effect(evidence, evidence.equivalence)} lies within {bound} ({p_words})"
    if found.low > s or found.high < -s:
        return "refuted", f"{_effect(evidence, found)} lies beyond {bound}"
    return "inconclusive", f"{_effect(evidence, evidence.equivalence)} may lie within or beyond {bound} ({p_words})"


def _p(evidence: Evidence, raw: float) -> tuple[float, str]:
    p = raw if evidence.corrected is None else max(raw, evidence.corrected)
    corrected = f" after {evidence.correction or 'correction'}" if evidence.corrected is not None else ""
    return p, f"p = {p:.2g}{corrected}, α = {evidence.alpha:g}"


def _effect(evidence: Evidence, found: Interval | Equivalence) -> str:
    return (
        f"the {MEASURED[evidence.kind]} of {found.estimate:.3g} {evidence.unit} ({100 * found.level:g} % interval "
        f"{found.low:.3g} to {found.high:.3g}, {evidence.circumstances.counted})"
    )


def _refuse_unfit(evidence: Evidence) -> None:
    """Raises LabError where the evidence is not that of this record."""
    if evidence.kind not in MEASURED:
        raise LabError(f"there are no claims of kind {evidence.kind!r}; there are {', '.join(MEASURED)}")
    share_of(evidence.alpha, "α")
    sign_of(evidence.direction)
    if not 0 <= evidence.smallest < math.inf:
        raise LabError(f"the smallest effect that matters is {evidence.smallest}; it must be 0 or more")
    found, tost = evidence.interval, evidence.equivalence
    if found is None:
        return
    if found.level < 1 - evidence.alpha - TIE:
        raise LabError(f"a {100 * found.level:g} % interval is too sure for α = {evidence.alpha:g}; take 1 − α or more")
    if evidence.kind not in SHOW_NOTHING_IS_THERE and evidence.specificity is None:
        raise LabError(f"a claim of {evidence.kind} is not decided without controls; run them")
    if evidence.kind in SHOW_NOTHING_IS_THERE and (
        tost is None
        or tost.margin != evidence.smallest
        or not math.isclose(tost.level, 1 - 2 * evidence.alpha, abs_tol=TIE)
    ):
        raise LabError("this claim is decided by the TOST with the record's α and smallest effect; compute that")

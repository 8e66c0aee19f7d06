"""From the figures that are kept to statistics and the verdict, by the record's own rule, anew at each look."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import numpy as np

from lab.errors import LabError
from lab.freeze import exploratory
from lab.hypothesis import SHOW_NOTHING_IS_THERE, HypothesisBody
from lab.in_words import CORRECTIONS, METRICS
from lab.runs.bodies import DrawnFamily, PromptFigures, RunBody
from lab.runs.keeping import Kept
from lab.runs.numbers import Effects, claimed_effect, controls_mean, effects_of, primary_effect
from lab.runs.result import Against, Findings, PromptLine, Result
from lab.splits import units
from lab.statistics import (
    Circumstances,
    Equivalence,
    Evidence,
    Specificity,
    Verdict,
    Wins,
    above_controls,
    agreement,
    cliffs_delta,
    corrected,
    d_z,
    dose_response,
    equivalence,
    interval,
    mediation,
    partial_necessity,
    sign_consistency,
    sign_flips,
    specificity,
    sufficiency,
    verdict,
)

T = TypeVar("T")


def result(run: RunBody, started: datetime, kept: Kept, notebook: Sequence[float] = ()) -> Result:
    """`notebook`: the p values of its other hypotheses, over which this one's is corrected as the record says."""
    body = run.body
    tests = [f"test {n}" for n, prompt in enumerate(body.prompts, start=1) if prompt.use == "test"]
    others = [f"off-target {n}" for n in range(1, len(body.off_target) + 1)]
    done = {part: kept.prompts[part] for part in [*tests, *others] if part in kept.prompts}
    found = Result(
        title=run.title,
        hash=run.hash,
        exploratory=exploratory(run.hypothesis.hypothesis, run.hypothesis.freeze, started),
        finished=len(done),
        total=len(tests) + len(others),
        unit=METRICS[body.metric].unit,
        watched=tuple(supernode.name for supernode in body.watched()),
        prompts=tuple(_line(body, done[part]) for part in tests if part in done),
    )
    if not found.complete:
        return found
    conclusions = _Conclusions(body, done, kept, notebook)
    findings = conclusions.findings()
    return found.model_copy(update={"findings": findings, "verdict": conclusions.verdict(findings)})


def _line(body: HypothesisBody, figures: PromptFigures) -> PromptLine:
    prompt, before = body.prompts[figures.number - 1], figures.baseline
    line = PromptLine(
        number=figures.number, text=prompt.text, unit=prompt.unit, excluded=figures.excluded, baseline=before.value
    )
    if figures.excluded:
        return line
    primary = figures.doses[0]
    measured = {
        "effect": claimed_effect(body, figures),
        "doses": tuple(dose.value - before.value for dose in figures.doses),
        "controls": None if body.kind == "equivalence" else controls_mean(figures),
        "kl": primary.kl,
        "supernodes": tuple(zip(before.supernodes, primary.supernodes, strict=True)),
        "predicted": _predicted(body, figures),
        "donor": figures.donor,
    }
    return line.model_copy(update=measured)


def _predicted(body: HypothesisBody, figures: PromptFigures) -> float | None:
    if figures.predicted is None:
        return None
    return figures.predicted.direct if body.intervention.protocol == "direct" else figures.predicted.through


class _Conclusions:
    """Of one complete run."""

    def __init__(
        self, body: HypothesisBody, done: dict[str, PromptFigures], kept: Kept, notebook: Sequence[float]
    ) -> None:
        self.body, self.notebook = body, notebook
        self.tests = [figures for figures in done.values() if figures.where == "test"]
        self.included = [figures for figures in self.tests if not figures.excluded]
        self.off_target = [figures.doses[0].kl for figures in done.values() if figures.where == "off-target"]
        self.drawn = kept.drawn.families if kept.drawn is not None else ()
        self.level = 1 - body.alpha
        self.two_sided = body.direction == "two_sided"
        self.effects = effects_of(body, self.included) if self.included else None
        self.reasons: dict[str, str] = {}
        self.specificity: Specificity | None = None  # against the family that decides

    @property
    def direction(self) -> int:
        if self.body.direction == "two_sided":
            return -1 if self.effects is not None and self.effects.claimed.mean() < 0 else 1
        return 1 if self.body.direction == "increase" else -1

    def findings(self) -> Findings:
        told = {} if self.effects is None else self._statistics(self.effects)
        circumstances = self._circumstances()
        return Findings(
            direction=self.direction,
            two_sided=self.two_sided,
            circumstances=circumstances,
            reasons=self.reasons,
            **told,
        )

    def verdict(self, findings: Findings) -> Verdict:
        body, run = self.body, findings.circumstances
        found, why = findings.interval, self.reasons.get("interval", "")
        if self.effects is None:
            why = "no prompt shows the behaviour without the edit"
        elif run.units < body.stop.fewest_units:
            found, why = None, f"{run.counted} are fewer than the {body.stop.fewest_units} of the stop rule"
        elif body.kind in SHOW_NOTHING_IS_THERE and findings.equivalence is None:
            found, why = None, self.reasons["equivalence"]
        elif body.kind not in SHOW_NOTHING_IS_THERE and self.specificity is None:
            found, why = None, self.reasons.get("controls", "no controls ran")
        words = f"{CORRECTIONS[body.correction].name}, {1 + len(self.notebook)} claims"
        return verdict(
            Evidence(
                kind=body.kind,
                direction=self.direction,
                smallest=body.smallest_effect,
                unit=METRICS[body.metric].unit,
                alpha=body.alpha,
                circumstances=run,
                interval=found,
                why_none=why,
                specificity=self.specificity,
                equivalence=findings.equivalence,
                two_sided=self.two_sided and body.kind not in SHOW_NOTHING_IS_THERE,
                corrected=findings.corrected,
                correction=words,
            )
        )

    def _statistics(self, effects: Effects) -> dict[str, Any]:
        body, d, level, seed = self.body, self.direction, self.level, self.body.seed
        told: dict[str, Any] = {}
        controls = tuple(self._against(effects, n, family) for n, family in enumerate(self.drawn))
        told["controls"] = tuple(against for against in controls if against is not None)
        claimed = effects.claimed
        told["interval"] = self._try("interval", lambda: interval(claimed, level, seed))
        told["d_z"] = self._try("d_z", lambda: d_z(claimed))
        told["flips"] = self._try("flips", lambda: sign_flips(d * claimed, self.two_sided, seed))
        told["signs"] = self._try("signs", lambda: sign_consistency(claimed, d, level))
        told["doses"] = tuple(effects.axis.tolist())
        if len(effects.axis) > 1:
            told["dose"] = self._try(
                "dose", lambda: dose_response(effects.axis, effects.doses, d, self.two_sided, level, seed)
            )
        if body.kind in SHOW_NOTHING_IS_THERE:
            told["equivalence"] = self._try(
                "equivalence", lambda: equivalence(claimed, body.smallest_effect, body.alpha)
            )
        if body.kind == "mediation":
            whole = effects.doses[:, 0]
            told["mediation"] = self._try("mediation", lambda: mediation(whole, whole - claimed, level, seed))
        if body.kind == "necessity":
            told["necessity"] = self._try(
                "necessity", lambda: partial_necessity(*effects.scores, effects.control_scores[0])
            )
        if body.compares_with_donors:
            told["sufficiency"] = self._try("sufficiency", lambda: _sufficiency(effects))
        pairs = [(p, primary_effect(f)) for f in self.included if (p := _predicted(body, f)) is not None]
        if pairs:
            told["agreement"] = self._try("agreement", lambda: agreement(*zip(*pairs, strict=True)))
        told["corrected"] = self._corrected(told.get("equivalence"))
        return told

    def _against(self, effects: Effects, n: int, family: DrawnFamily) -> Against | None:
        mine, others, d = effects.effect, effects.controls[n], self.direction
        name = "controls" if n == 0 else f"controls of kind {family.kind}"
        found = self._try(name, lambda: specificity(mine, others, d, self.two_sided))
        if found is None:
            return None
        if n == 0:
            self.specificity = found
        return Against(
            kind=family.kind,
            wanted=family.wanted,
            sets=len(family.seeds),
            short=family.short,
            ratio=_geometric_mean(family.ratios),
            worst=max(family.worst, key=lambda ratio: abs(np.log(ratio))),
            p=found.p,
            as_much=found.as_much,
            effect=found.effect,
            means=tuple(found.controls.tolist()),
            cliffs_delta=cliffs_delta(mine, others, d),
            flips=self._try(name, lambda: sign_flips(above_controls(mine, others, d), self.two_sided, self.body.seed)),
        )

    def _corrected(self, tost: Equivalence | None) -> float | None:
        deciding = tost if self.body.kind in SHOW_NOTHING_IS_THERE else self.specificity
        if deciding is None or not self.notebook or self.body.correction == "none":
            return None
        return float(corrected([deciding.p, *self.notebook], self.body.correction)[0])

    def _circumstances(self) -> Circumstances:
        body = self.body
        magnitudes = [figures.magnitude for figures in self.included if figures.magnitude is not None]
        first = self.drawn[0] if self.drawn else None
        return Circumstances(
            units=len(units([body.prompts[figures.number - 1] for figures in self.included])),
            families=body.prompts[0].family is not None,
            prompts=len(self.tests),
            excluded=len(self.tests) - len(self.included),
            controls=0 if first is None else len(first.seeds),
            controls_wanted=0 if first is None else first.wanted,
            control_ratio=None if first is None else _geometric_mean(first.ratios),
            magnitude=max(magnitudes, default=None),
            off_target_kl=float(np.mean(self.off_target)) if self.off_target else None,
        )

    def _try(self, name: str, compute: Callable[[], T]) -> T | None:
        try:
            return compute()
        except LabError as problem:
            self.reasons[name] = str(problem)
            return None


def _sufficiency(effects: Effects) -> Wins:
    if effects.donors is None:
        raise LabError("this run is from before donors were measured: run it anew")
    return sufficiency(effects.donors, effects.scores[1], effects.control_scores[0])


def _geometric_mean(ratios: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))

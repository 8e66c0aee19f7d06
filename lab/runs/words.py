"""The statistics of a run as a reader sees them: a name, the figure with its unit, and what it is.

Page and report show these same lines. Knows no page; texts of the hypothesis come as they are, to be escaped by who
shows them.
"""

from dataclasses import dataclass

from lab.hypothesis import HypothesisBody
from lab.in_words import CONTROLS, CORRECTIONS, METRICS, beyond, what_effect
from lab.runs.bodies import PromptFigures
from lab.runs.result import Against, Findings, Result
from lab.statistics import Interval
from lab.statistics.verdict import MEASURED

MISSING = {  # what `Findings.reasons` names
    "interval": "Interval of the effect",
    "d_z": "Effect size d_z",
    "flips": "Sign flips of the effect",
    "signs": "Share of units that go in one direction",
    "dose": "Slope with the dose",
    "equivalence": "Equivalence test",
    "mediation": "Mediated part",
    "necessity": "Partial necessity",
    "sufficiency": "Sufficiency",
    "agreement": "Foretold against measured",
    "controls": "Specificity",
}


@dataclass(frozen=True)
class Statistic:
    name: str
    value: str  # with its unit
    help: str  # what it is, and whose


def number(value: float) -> str:
    """Three digits; never −0."""
    return f"{value + 0.0:.3g}"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def interval_words(found: Interval, unit: str) -> str:
    return (
        f"{number(found.estimate)} {unit} ({100 * found.level:g} % interval {number(found.low)} to"
        f" {number(found.high)})"
    )


def direction(findings: Findings) -> str:
    """In which effects count as positive."""
    return "the direction of the mean effect" if findings.two_sided else "the claimed direction"


def measured(body: HypothesisBody) -> str:
    """What the interval is of."""
    return MEASURED[body.kind]


def statistics(body: HypothesisBody, found: Result) -> list[Statistic]:
    """All that was computed of a run that is complete; empty before."""
    findings = found.findings
    if findings is None:
        return []
    unit = found.unit
    return [
        *_effect(body, findings, unit),
        *(line for against in findings.controls for line in _against(against, findings.two_sided, unit)),
        *_corrected(body, findings),
        *_equivalence(findings, unit),
        *_mediation(findings, unit),
        *_wins(findings),
        *_dose(findings, unit),
        *_agreement(findings),
        *_circumstances(findings),
    ]


def missing(found: Result) -> list[tuple[str, str]]:
    """What could not be computed, and why."""
    reasons = {} if found.findings is None else found.findings.reasons
    return [(MISSING.get(name, name[:1].upper() + name[1:]), why) for name, why in reasons.items()]


def why_excluded(body: HypothesisBody, figures: PromptFigures) -> str:
    """By the record's rule; empty where it is not left out."""
    rule = body.exclusion
    figure = None if rule.rule == "none" else getattr(figures.baseline, rule.rule)
    if not figures.excluded or figure is None or rule.bound is None:
        return ""
    name = METRICS[rule.rule].name
    return f"without the edit its {name} is {number(figure)}, {beyond(rule.rule)} {number(rule.bound)}"


def _effect(body: HypothesisBody, findings: Findings, unit: str) -> list[Statistic]:
    lines, what = [], measured(body)
    if (interval := findings.interval) is not None:
        how = "Student's t" if interval.method == "t" else "BCa bootstrap (Efron 1987)"
        lines.append(
            Statistic(
                what[:1].upper() + what[1:],
                f"{interval_words(interval, unit)}, {findings.circumstances.counted}",
                f"Mean over units of the metric {what_effect(body)}. A unit is a family of prompts, or a prompt where"
                f" no families are declared. Interval: {how} on unit means.",
            )
        )
    if findings.d_z is not None:
        lines.append(
            Statistic(
                "Effect size d_z",
                number(findings.d_z),
                "Mean over the standard deviation across units: Cohen's d of paired differences (Cohen 1988). No unit.",
            )
        )
    if (flips := findings.flips) is not None:
        patterns = f"all {flips.n_flips:,}" if flips.seed is None else f"{flips.n_flips:,} drawn"
        lines.append(
            Statistic(
                "Sign flips",
                f"p = {flips.p:.2g}, {patterns} patterns",
                "How often the mean is as large when the signs of the units are turned round at random (Fisher 1935)."
                " It compares with no effect at all, not with other edits.",
            )
        )
    if (signs := findings.signs) is not None:
        lines.append(
            Statistic(
                f"Units that go in {direction(findings)}",
                f"{signs.k} of {signs.n} (share {number(signs.low)} to {number(signs.high)})",
                "With Wilson's interval of the share (Wilson 1927).",
            )
        )
    return lines


def _against(against: Against, two_sided: bool, unit: str) -> list[Statistic]:
    (kind, what), n = CONTROLS[against.kind], against.sets
    lines = [
        Statistic(
            f"Specificity against {kind}",
            f"p = {against.p:.2g}: {against.as_much} of {n} control sets did as much",
            "(1 + sets that did at least as much) / (1 + sets), by the mean over units. Each set is one matched edit,"
            f" applied to all prompts: {what}." + (" As much either way counts." if two_sided else ""),
        ),
        Statistic(
            f"Match of {kind}",
            f"{number(against.ratio)} × the edit's own size, worst {number(against.worst)} ×",
            "Size of what stands in to what is edited: geometric mean over sets; of all sets the ratio farthest from"
            " 1. 1 is a perfect match.",
        ),
        Statistic(
            f"Cliff's δ against {kind}",
            number(against.cliffs_delta),
            "Share of pairs in which the edit does more than a control, less the share in which it does less: −1 to 1"
            " (Cliff 1993). A size, not a test.",
        ),
    ]
    if against.flips is not None:
        lines.append(
            Statistic(
                f"Sign flips above {kind}",
                f"p = {against.flips.p:.2g}",
                "Sign flips of effect less the controls' mean, unit by unit: whether on these prompts the edit does"
                " more than its controls on average.",
            )
        )
    return lines


def _corrected(body: HypothesisBody, findings: Findings) -> list[Statistic]:
    if findings.corrected is None:
        return []
    source = CORRECTIONS[body.correction].source
    return [
        Statistic(
            "p over the notebook",
            f"p = {findings.corrected:.2g}",
            f"The p that decides, corrected for the other hypotheses of the notebook ({source}).",
        )
    ]


def _equivalence(findings: Findings, unit: str) -> list[Statistic]:
    if (tost := findings.equivalence) is None:
        return []
    return [
        Statistic(
            "Equivalence test",
            f"p = {tost.p:.2g} within ±{number(tost.margin)} {unit} ({100 * tost.level:g} % interval"
            f" {number(tost.low)} to {number(tost.high)})",
            "TOST: two one-sided t tests of a mean beyond the smallest effect that matters; p is the larger"
            " (Schuirmann 1987). A large p of another test would not show that nothing is there.",
        )
    ]


def _mediation(findings: Findings, unit: str) -> list[Statistic]:
    if (through := findings.mediation) is None:
        return []
    share = "none: the whole effect may be 0"
    if through.share is not None:
        share = f"{number(through.share[0])} ({number(through.share[1])} to {number(through.share[2])})"
    return [
        Statistic(
            "Whole effect",
            interval_words(through.whole, unit),
            "Of the edit with nothing held; the mediated effect is what of it is lost with the mediators held.",
        ),
        Statistic(
            "Mediated share",
            share,
            "Mediated over whole effect, with Fieller's interval (1954); beyond 0 to 1 where something else acts"
            " the other way.",
        ),
    ]


def _wins(findings: Findings) -> list[Statistic]:
    lines = []
    if (wins := findings.necessity) is not None:
        lines.append(
            Statistic(
                "Partial necessity",
                f"p = {wins.p:.2g}: more damage than {wins.k} of {wins.n} control sets",
                f"Shi et al. 2024: p of the hypothesis that at most {percent(wins.quantile)} of random sets do less"
                " damage. Damage: mean squared change of the metric.",
            )
        )
    if (wins := findings.sufficiency) is not None:
        lines.append(
            Statistic(
                "Sufficiency",
                f"p = {wins.p:.2g}: as near to the donor as {wins.k} of {wins.n} control sets, or nearer",
                f"Shi et al. 2024: p of the hypothesis that at most {percent(wins.quantile)} of random sets come no"
                " nearer. Near: the mean squared difference of the metric with the edit and on the donor without edits"
                " is small. A large p does not show that the circuit is not enough.",
            )
        )
    return lines


def _dose(findings: Findings, unit: str) -> list[Statistic]:
    if (dose := findings.dose) is None:
        return []
    rank = "" if dose.rank is None else f"; rank correlation {number(dose.rank)}"
    lines = [
        Statistic(
            "Slope with the dose",
            f"{interval_words(dose.slope, unit + ' a dose')}; p = {dose.flips.p:.2g}{rank}",
            f"Least-squares slope on the dose of the effect in {direction(findings)}, mean over units; p by sign flips."
            " Dose 1 is the one that decides, 0 no edit.",
        )
    ]
    if dose.below is not None:
        lines.append(
            Statistic(
                "The edit turned round",
                f"{number(dose.below)} {unit}",
                f"Mean effect in {direction(findings)} over doses below 0: below 0 too, if what turns round turns"
                " back.",
            )
        )
    return lines


def _agreement(findings: Findings) -> list[Statistic]:
    if (found := findings.agreement) is None:
        return []
    signs = found.signs
    told = (
        ("Spearman's ρ", found.spearman, "Rank correlation of what graphs foretold with what was measured, by prompt."),
        ("slope", found.slope, "Of the line measured = intercept + slope · foretold; 1 where sizes agree."),
        ("cosine", found.cosine, "Of foretold with measured changes."),
        ("NMSE", found.nmse, "‖foretold − measured‖² / ‖measured‖²: 0 is perfect, 1 as good as saying 0."),
    )
    lines = [Statistic(f"Foretold, measured: {name}", number(x), help) for name, x, help in told if x is not None]
    return [
        *lines,
        Statistic(
            "Foretold, measured: same sign",
            f"{signs.k} of {signs.n} (share {number(signs.low)} to {number(signs.high)})",
            "Prompts on which the graph foretold the direction, with Wilson's interval of the share.",
        ),
    ]


def _circumstances(findings: Findings) -> list[Statistic]:
    run, lines = findings.circumstances, []
    if run.off_target_kl is not None:
        lines.append(
            Statistic(
                "Off-target KL",
                f"{number(run.off_target_kl)} nats",
                "Of the next token, from without the edit to with it, mean over the prompts where it should do little.",
            )
        )
    if run.magnitude is not None:
        lines.append(
            Statistic(
                "Largest value set",
                f"{number(run.magnitude)} × the largest activation known",
                "Above 1 the model was never seen there.",
            )
        )
    lines.append(
        Statistic(
            "Prompts left out",
            f"{run.excluded} of {run.prompts}",
            "They don't show the behaviour without the edit, by the rule of the record.",
        )
    )
    return lines

"""What `test` prints for people. Texts of a hypothesis only as Python writes them: they can't steer a terminal."""

from lab.runs.bodies import RunBody
from lab.runs.result import Against, Findings, Result
from lab.runs.words import what_effect
from lab.statistics import Interval
from lab.views import Record


def report(found: Result, run: Record[RunBody], in_lab: bool) -> str:
    """Of a run that is complete. `in_lab`: the hypothesis is a record of this lab, so its notebook is here."""
    body = run.head.body.body
    lines = [
        f"{found.title!r}: {body.kind}, run {run.id} of {found.hash[:12]}…",
        "confirmatory: frozen before it ran" if found.exploratory is None else f"exploratory: {found.exploratory}",
        "",
        f"{'prompt':44} {body.metric.replace('_', ' ')}, {found.unit}: without, effect, controls' mean",
        f"effect: {what_effect(body)}",
    ]
    for line in found.prompts:
        effects = "left out" if line.effect is None else f"{line.effect:+8.3f}"
        controls = "" if line.controls is None else f" {line.controls:+8.3f}"
        text = line.text if len(line.text) <= 38 else line.text[:37] + "…"
        lines.append(f"  {text!r:42} {line.baseline:8.3f} {effects}{controls}")
    if found.findings is not None:
        lines += ["", *_findings(found.findings, found.unit)]
    if found.verdict is not None:
        marked = "" if found.exploratory is None else "(exploratory) "
        lines += ["", marked + found.verdict.sentence, *(f"  ! {threat}" for threat in found.verdict.threats)]
    if body.notebook is not None and body.correction != "none" and not in_lab:
        lines.append("  ! not corrected: the notebook's other claims are not here")
    return "\n".join(lines)


def _findings(found: Findings, unit: str) -> list[str]:
    lines = []
    if found.interval is not None:
        lines.append(f"effect             {_interval(found.interval)} {unit}; {found.circumstances.counted}")
    if found.mediation is not None:
        lines.append(f"whole effect       {_interval(found.mediation.whole)} {unit}")
    if found.flips is not None and found.signs is not None:
        lines.append(f"sign flips         p = {found.flips.p:.3g}; {found.signs.k} of {found.signs.n} the claimed way")
    lines += [_against(against) for against in found.controls]
    if found.sufficiency is not None:
        wins = found.sufficiency
        lines.append(
            f"sufficiency        p = {wins.p:.3g}: as near to the donor as {wins.k} of {wins.n} sets, or nearer"
        )
    if found.dose is not None:
        lines.append(f"slope with dose    {_interval(found.dose.slope)} {unit}; p = {found.dose.flips.p:.3g}")
    if found.equivalence is not None:
        lines.append(f"equivalence        p = {found.equivalence.p:.3g} within ±{found.equivalence.margin:g} {unit}")
    if found.agreement is not None and found.agreement.spearman is not None:
        signs = found.agreement.signs
        lines.append(
            f"foretold, measured Spearman {found.agreement.spearman:.2f}; {signs.k} of {signs.n} of the same sign"
        )
    if found.circumstances.off_target_kl is not None:
        lines.append(f"off target         KL {found.circumstances.off_target_kl:.3g} nats")
    return lines + [f"no {name}: {why}" for name, why in found.reasons.items()]


def _against(found: Against) -> str:
    sets = f"{found.sets} of {found.wanted}" if found.short else f"{found.sets}"
    return (
        f"against controls   p = {found.p:.3g}: {found.as_much} of {sets} sets ({found.kind}) did as much; own size"
        f" {found.ratio:.2f} × the edit's"
    )


def _interval(found: Interval) -> str:
    return f"{found.estimate:.3g} ({100 * found.level:g} % interval {found.low:.3g} to {found.high:.3g})"

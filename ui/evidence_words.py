"""What stands above and below each chart of a run, on the page and in the report. Plain text."""

from lab.hypothesis import HypothesisBody
from lab.in_words import CONTROLS, what_effect
from lab.runs.result import Against, Findings, Result
from lab.runs.words import direction, interval_words, measured, number
from ui.evidence_figures import MOST_SHARE, Doses, Dot

DOSES = "More of the edit, more of the effect?"
PREDICTED = "Foretold by the graphs, and measured"
SUPERNODES = "Other supernodes"
OFF_TARGET = "Where the edit should do little"
SHARE = "activation under the edit, % of that without"
KL = "KL of the next token, nats"


def controls_heading(against: Against) -> str:
    return f"The effect among {against.sets} control sets: {CONTROLS[against.kind].name}"


def controls_caption(against: Against, smallest: float, unit: str, decides: bool) -> str:
    said = (
        f"p = {against.p:.2g}: {against.as_much} of {against.sets} sets did as much as the edit"
        f" ({number(against.effect)} {unit}). Grey band: effects smaller than what matters (±{number(smallest)}"
        f" {unit})."
    )
    said += " The verdict rests on this kind." if decides else ""
    return said + ("" if against.short is None else f" {against.short[:1].upper()}{against.short[1:]}.")


def dots_heading(body: HypothesisBody) -> str:
    what = measured(body)
    return f"{what[:1].upper()}{what[1:]}, prompt by prompt"


def dots_caption(body: HypothesisBody, drawn: list[Dot], found: Result) -> str:
    interval = None if found.findings is None else found.findings.interval
    parts = [f"● {what_effect(body)}"]
    parts += ["○ mean of its control sets"] if any(dot.controls is not None for dot in drawn) else []
    if interval is not None:
        parts.append(f"◆ mean over units, {interval_words(interval, found.unit)}")
    left = sum(line.excluded for line in found.prompts)
    out = f" {left} left out: see the table." if left else ""
    return f"{'; '.join(parts)}; dashed: ± the smallest effect that matters.{out}"


def doses_caption(drawn: Doses, findings: Findings, unit: str) -> str:
    some = "units" if len(drawn.units) == drawn.n_units else f"{len(drawn.units)} of {drawn.n_units} units"
    said = f"Thin: {some}; thick: the mean of all."
    if findings.dose is None:
        return said
    slope, p = interval_words(findings.dose.slope, f"{unit} a dose"), findings.dose.flips.p
    return f"{said} Slope in {direction(findings)}: {slope}; p = {p:.2g} by sign flips."


def predicted_caption(findings: Findings) -> str:
    said = "A dot a prompt; on the dashed line foretold and measured are the same."
    if (agreement := findings.agreement) is None:
        return said
    told = [
        f"{name} {number(value)}"
        for name, value in (("Spearman's ρ", agreement.spearman), ("slope", agreement.slope))
        if value is not None
    ]
    return f"{said} {'; '.join([*told, f'same sign on {agreement.signs.k} of {agreement.signs.n}'])}."


def supernodes_caption(rows: dict[str, list[tuple[str, float]]]) -> str:
    said = "A tick a prompt: Σ activations of the supernode, none of whose features is set. Dashed: unchanged."
    beyond = sum(abs(value) > MOST_SHARE for pairs in rows.values() for _, value in pairs)
    if not beyond:
        return said
    ticks = "1 lies" if beyond == 1 else f"{beyond} lie"
    return f"{said} {ticks} beyond ±{MOST_SHARE:g} %, at the edge: there it hardly acts without the edit."


def off_target_caption(found: Result) -> str:
    mean = None if found.findings is None else found.findings.circumstances.off_target_kl
    told = "" if mean is None else f" Off target the mean is {number(mean)} nats."
    return f"A tick a prompt. Beyond the dashed line much of the distribution may have moved.{told}"

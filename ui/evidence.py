"""What a run of a hypothesis shows: the verdict first, then the figures that it rests on."""

import streamlit as st

from lab.hypothesis import HypothesisBody
from lab.runs.bodies import RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Findings, Result
from lab.runs.sections import NOT_SHOWN, marked
from lab.runs.words import CONTROLS, interval_words, measured, missing, number, statistics
from lab.statistics import Verdict
from lab.views import Record
from ui.evidence_charts import against_controls, dose_curve, foretold, kl_strips, prompt_dots, strips
from ui.evidence_figures import doses, dots, kls, shares
from ui.evidence_table import prompt_table, show_table
from ui.sidebar import plain, sentence

BADGES = {  # a word, a form and a colour
    "supported": ("Supported", ":material/check_circle:", "green"),
    "refuted": ("Refuted", ":material/cancel:", "orange"),
    "inconclusive": ("Inconclusive", ":material/help:", "gray"),
}


def evidence(run: Record[RunBody], kept: Kept, found: Result) -> None:
    """Of a run that may still be under way. `found`: what `lab.runs.conclude.result` makes of `kept`."""
    body = run.head.body.body
    if found.verdict is None or found.findings is None:
        st.info(f"{found.finished} of {found.total} prompts finished. Nothing is decided before the last one is.")
        _exploratory(found)
    else:
        _verdict(found, found.verdict)
        _threats(found.verdict)
        _controls(body, found.findings, found.unit)
    _prompts(body, found)
    if found.findings is not None:
        _doses(found.findings, found)
        _foretold(found.findings, found)
    _supernodes(found)
    _off_target(body, kept, found)
    if found.prompts:
        st.markdown("#### Prompts")
        show_table(prompt_table(body, kept, found), found.unit, f"hypograph-{found.hash[:8]}")
    _statistics(body, found)


def _verdict(found: Result, verdict: Verdict) -> None:
    word, icon, colour = BADGES[verdict.decision]
    with st.container(border=True):
        st.badge(word, icon=icon, color=colour)
        st.markdown(f"**{plain(verdict.sentence)}**")
        _exploratory(found)
        st.caption(plain(NOT_SHOWN))


def _exploratory(found: Result) -> None:
    if found.exploratory is not None:
        st.badge("Exploratory", icon=":material/science:", color="orange")
    st.caption(plain(marked(found)))


def _threats(verdict: Verdict) -> None:
    st.markdown("#### What speaks against it")
    if not verdict.threats:
        st.caption("Nothing that was looked at speaks against this run.")
        return
    st.markdown("\n".join(f"- {plain(threat)}" for threat in verdict.threats))


def _controls(body: HypothesisBody, findings: Findings, unit: str) -> None:
    for n, against in enumerate(findings.controls):
        st.markdown(f"#### Against {against.sets} control sets: {CONTROLS[against.kind]}")
        against_controls(against, body.smallest_effect, unit)
        decides = " This kind decides." if n == 0 and len(findings.controls) > 1 else ""
        short = "" if against.short is None else f" {sentence(against.short)}"
        st.caption(
            f"p = {against.p:.2g}: {against.as_much} of {against.sets} sets did as much as the edit"
            f" ({plain(f'{against.effect:+.3g}')} {unit}). Grey band: effects below the smallest that matters"
            f" (±{body.smallest_effect:.3g} {unit}).{decides}{short}"
        )


def _prompts(body: HypothesisBody, found: Result) -> None:
    drawn = dots(found)
    if not drawn:
        return
    what = measured(body)
    st.markdown(f"#### {what[:1].upper()}{what[1:]}, prompt by prompt")
    prompt_dots(drawn, found, body.smallest_effect, what)
    interval = None if found.findings is None else found.findings.interval
    parts = ["● with the edit less without"]
    parts += ["○ mean of its control sets"] if any(dot.controls is not None for dot in drawn) else []
    if interval is not None:
        parts.append(f"◆ mean over units, {plain(interval_words(interval, found.unit))}")
    left = sum(line.excluded for line in found.prompts)
    out = f" {left} left out: see the table." if left else ""
    st.caption(f"{'; '.join(parts)}; dashed: ± the smallest effect that matters.{out}")


def _doses(findings: Findings, found: Result) -> None:
    drawn = doses(found)
    if drawn is None:
        return
    st.markdown("#### More of the edit, more of the effect?")
    dose_curve(drawn, found.unit)
    text = "Thin: units; thick: their mean."
    if findings.dose is not None:
        slope, p = findings.dose.slope, findings.dose.flips.p
        text += (
            f" Slope in the claimed direction {plain(interval_words(slope, found.unit + ' a dose'))}; p = {p:.2g} by"
            " sign flips."
        )
    st.caption(text)


def _foretold(findings: Findings, found: Result) -> None:
    drawn = [dot for dot in dots(found) if dot.predicted is not None]
    if not drawn:
        return
    st.markdown("#### Foretold by the graphs, and measured")
    foretold(drawn, found.unit)
    text = "A dot a prompt; on the dashed line foretold and measured are the same."
    if (agreement := findings.agreement) is not None:
        told = [
            f"{name} {number(value)}"
            for name, value in (("Spearman's ρ", agreement.spearman), ("slope", agreement.slope))
            if value is not None
        ]
        signs = agreement.signs
        text += f" {plain('; '.join([*told, f'same sign on {signs.k} of {signs.n}']))}."
    st.caption(text)


def _supernodes(found: Result) -> None:
    drawn = {name: values for name, values in shares(found).items() if values}
    if not drawn:
        return
    st.markdown("#### Other supernodes")
    strips(drawn, "activation under the edit, % of that without", 100)
    st.caption("A tick a prompt: Σ activations of the supernode. None of its features is set. Dashed: unchanged.")


def _off_target(body: HypothesisBody, kept: Kept, found: Result) -> None:
    rows = kls(body, kept, found)
    if not rows["off-target prompts"]:
        return
    st.markdown("#### Where the edit should do little")
    kl_strips(rows)
    mean = None if found.findings is None else found.findings.circumstances.off_target_kl
    told = "" if mean is None else f" Off target the mean is {number(mean)} nats."
    st.caption(f"A tick a prompt. Beyond the dashed line much of the distribution may have moved.{told}")


def _statistics(body: HypothesisBody, found: Result) -> None:
    lines = statistics(body, found)
    if not lines:
        return
    st.markdown("#### All statistics")
    with st.container(gap="small"):
        for line in lines:
            st.markdown(f"{plain(line.name)}: **{plain(line.value)}**", help=plain(line.help))
        for name, why in missing(found):
            st.markdown(f"{plain(name)}: not computed. {sentence(why)}")

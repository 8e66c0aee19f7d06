"""What a run of a hypothesis shows: the verdict first, then the figures that it rests on."""

import streamlit as st

from lab.hypothesis import HypothesisBody
from lab.runs.bodies import RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Findings, Result
from lab.runs.sections import NOT_SHOWN, marked
from lab.runs.words import measured, missing, statistics
from lab.statistics import Verdict
from lab.views import Record
from ui import evidence_words as words
from ui.evidence_charts import against_controls, dose_curve, foretold, kl_strips, prompt_dots, share_strips
from ui.evidence_exports import exports
from ui.evidence_figures import doses, dots, kls, shares
from ui.evidence_table import prompt_table, show_table
from ui.evidence_texts import sample_texts
from ui.session import get_service
from ui.sidebar import plain, sentence

BADGES = {  # a word, a form and a colour
    "supported": ("Supported", ":material/check_circle:", "green"),
    "refuted": ("Refuted", ":material/cancel:", "orange"),
    "inconclusive": ("Inconclusive", ":material/help:", "gray"),
}


def evidence(run: Record[RunBody], kept: Kept, found: Result) -> None:
    """Of a run that may still be under way. `found`: what `lab.runs.conclude.result` makes of `kept`."""
    body, name = run.head.body.body, f"hypograph-{found.hash[:8]}"
    if found.verdict is None or found.findings is None:
        st.info(f"{found.finished} of {found.total} prompts finished. Nothing is decided before the last one is.")
        _marked(found)
    else:
        _verdict(found, found.verdict)
        _threats(found.verdict)
    left, right = st.columns(2, gap="medium")
    with left:
        _controls(body, found)
        _foretold(found.findings, found)
        _supernodes(found)
    with right:
        _prompts(body, found)
        _doses(found.findings, found)
        _off_target(body, kept, found)
    if found.prompts:
        st.markdown("#### Prompts")
        show_table(prompt_table(body, kept, found), found.unit, name)
    _statistics(body, found)
    if found.complete:
        sample_texts(get_service(), run.head.body, found)
        exports(run, kept, found, name)


def _verdict(found: Result, verdict: Verdict) -> None:
    word, icon, colour = BADGES[verdict.decision]
    with st.container(border=True):
        badges = st.container(horizontal=True, gap="small")
        badges.badge(word, icon=icon, color=colour)  # type: ignore[arg-type]
        with badges:
            _marked(found)
        st.markdown(f"**{plain(verdict.sentence)}**")
        st.caption(NOT_SHOWN)


def _marked(found: Result) -> None:
    """Whether it was decided by what was frozen before it ran."""
    if found.exploratory is None:
        st.badge("Confirmatory", icon=":material/lock:", color="gray", help=marked(found))
    else:
        st.badge("Exploratory", icon=":material/science:", color="orange")
        st.caption(plain(marked(found)))


def _threats(verdict: Verdict) -> None:
    st.markdown("#### What speaks against it")
    if verdict.threats:
        st.markdown("\n".join(f"- {plain(threat)}" for threat in verdict.threats))
    else:
        st.caption("Nothing that was looked at speaks against this run.")


def _controls(body: HypothesisBody, found: Result) -> None:
    if found.findings is None:
        return
    for n, against in enumerate(found.findings.controls):
        st.markdown(f"#### {words.controls_heading(against)}")
        against_controls(against, body.smallest_effect, found.unit)
        st.caption(plain(words.controls_caption(against, body.smallest_effect, found.unit, not n)))


def _prompts(body: HypothesisBody, found: Result) -> None:
    if drawn := dots(found):
        st.markdown(f"#### {words.dots_heading(body)}")
        prompt_dots(drawn, found, body.smallest_effect, measured(body))
        st.caption(plain(words.dots_caption(drawn, found)))


def _doses(findings: Findings | None, found: Result) -> None:
    drawn = doses(found)
    if findings is not None and drawn is not None:
        st.markdown(f"#### {words.DOSES}")
        dose_curve(drawn, found.unit)
        st.caption(plain(words.doses_caption(findings, found.unit)))


def _foretold(findings: Findings | None, found: Result) -> None:
    drawn = [dot for dot in dots(found) if dot.predicted is not None]
    if findings is not None and drawn:
        st.markdown(f"#### {words.PREDICTED}")
        foretold(drawn, found.unit)
        st.caption(plain(words.predicted_caption(findings)))


def _supernodes(found: Result) -> None:
    if drawn := {name: values for name, values in shares(found).items() if values}:
        st.markdown(f"#### {words.SUPERNODES}")
        share_strips(drawn)
        st.caption(plain(words.supernodes_caption()))


def _off_target(body: HypothesisBody, kept: Kept, found: Result) -> None:
    rows = kls(body, kept, found)
    if rows["off-target prompts"]:
        st.markdown(f"#### {words.OFF_TARGET}")
        kl_strips(rows)
        st.caption(plain(words.off_target_caption(found)))


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

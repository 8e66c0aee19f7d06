"""What a run of a hypothesis shows: the verdict first, then the figures that it rests on."""

from collections.abc import Callable, Sequence

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
from ui.evidence_figures import Doses, Dot, doses, dots, kls, shares
from ui.evidence_table import prompt_table, show_table
from ui.evidence_texts import sample_texts
from ui.session import get_service
from ui.sidebar import plain, sentence

BADGES = {  # a word, a form and a colour
    "supported": ("Supported", ":material/check_circle:", "green"),
    "refuted": ("Refuted", ":material/cancel:", "orange"),
    "inconclusive": ("Inconclusive", ":material/help:", "gray"),
}


def evidence(run: Record[RunBody], kept: Kept, found: Result, notebook: Sequence[float] = ()) -> None:
    """Of a run that may still be under way. `found`: what `lab.runs.conclude.result` makes of `kept` and `notebook`,
    the p values of the notebook's other hypotheses."""
    body, name = run.head.body.body, f"hypograph-{found.hash[:8]}"  # of files
    if found.verdict is None or found.findings is None:
        st.info(f"{found.finished} of {found.total} prompts finished. Nothing is decided before the last one is.")
        _marked(found)
    else:
        _verdict(found, found.verdict)
        _threats(found.verdict)
    _in_pairs(_charts(body, kept, found))
    if found.prompts:
        st.markdown("#### Prompts")
        show_table(body, prompt_table(body, kept, found), found.unit, name, run.id)
    _statistics(body, found)
    if found.complete:
        sample_texts(get_service(), run, found)
        exports(run, kept, found, notebook, name)


def _verdict(found: Result, verdict: Verdict) -> None:
    word, icon, colour = BADGES[verdict.decision]
    with st.container(border=True):
        badges = st.container(horizontal=True, gap="small", vertical_alignment="center")
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


def _in_pairs(charts: list[Callable[[], None]]) -> None:
    """Two beside each other; on a phone they come in the same order."""
    for first in range(0, len(charts), 2):
        for column, draw in zip(st.columns(2, gap="medium"), charts[first : first + 2], strict=False):
            with column:
                draw()


def _charts(body: HypothesisBody, kept: Kept, found: Result) -> list[Callable[[], None]]:
    """Those that have something to show, the weightiest first."""
    drawn, findings = dots(body, found), found.findings
    charts: list[Callable[[], None]] = []
    if findings is not None and findings.controls:
        charts.append(lambda: _controls(body, findings, found.unit))
    if drawn:
        charts.append(lambda: _prompts(body, drawn, found))
    if findings is not None and (curve := doses(found)) is not None:
        charts.append(lambda: _doses(curve, findings, found.unit))
    foretold_dots = [dot for dot in drawn if dot.predicted is not None]
    if findings is not None and foretold_dots:
        charts.append(lambda: _foretold(foretold_dots, findings, found.unit))
    if rows := {name: values for name, values in shares(found).items() if values}:
        charts.append(lambda: _supernodes(rows))
    if (kl := kls(body, kept, found))["off-target prompts"]:
        charts.append(lambda: _off_target(kl, found))
    return charts


def _controls(body: HypothesisBody, findings: Findings, unit: str) -> None:
    for n, against in enumerate(findings.controls):
        st.markdown(f"#### {words.controls_heading(against)}")
        against_controls(against, body.smallest_effect, unit)
        st.caption(plain(words.controls_caption(against, body.smallest_effect, unit, not n)))


def _prompts(body: HypothesisBody, drawn: list[Dot], found: Result) -> None:
    st.markdown(f"#### {words.dots_heading(body)}")
    prompt_dots(drawn, found, body.smallest_effect, measured(body))
    st.caption(plain(words.dots_caption(body, drawn, found)))


def _doses(curve: Doses, findings: Findings, unit: str) -> None:
    st.markdown(f"#### {words.DOSES}")
    dose_curve(curve, unit)
    st.caption(plain(words.doses_caption(curve, findings, unit)))


def _foretold(drawn: list[Dot], findings: Findings, unit: str) -> None:
    st.markdown(f"#### {words.PREDICTED}")
    foretold(drawn, unit)
    st.caption(plain(words.predicted_caption(findings)))


def _supernodes(rows: dict[str, list[tuple[str, float]]]) -> None:
    st.markdown(f"#### {words.SUPERNODES}")
    share_strips(rows)
    st.caption(plain(words.supernodes_caption(rows)))


def _off_target(rows: dict[str, list[tuple[str, float]]], found: Result) -> None:
    st.markdown(f"#### {words.OFF_TARGET}")
    kl_strips(rows)
    st.caption(plain(words.off_target_caption(found)))


def _statistics(body: HypothesisBody, found: Result) -> None:
    lines = statistics(body, found)
    if not lines:
        return
    st.markdown("#### All statistics")
    half = (len(lines) + 1) // 2
    for column, some in zip(st.columns(2, gap="medium"), (lines[:half], lines[half:]), strict=True):
        with column.container(gap="small"):
            for line in some:
                st.markdown(f"{plain(line.name)}: **{plain(line.value)}**", help=plain(line.help))
    for name, why in missing(found):
        st.markdown(f"{plain(name)}: not computed. {sentence(why)}")

"""The evidence of one of a hypothesis's runs; which one, where there are several."""

import streamlit as st

from lab import LabError, Record
from lab.runs.bodies import RunBody
from lab.runs.notebook import entries, others, total
from ui.evidence import evidence
from ui.hypothesis_look import when
from ui.hypothesis_opened import Opened
from ui.hypothesis_results import result_of, shown
from ui.session import get_lab, me
from ui.sidebar import sentence


def evidence_of(opened: Opened) -> None:
    if not opened.runs:
        if opened.number in opened.checked:
            st.info("Nothing ran yet. A run measures the edit and its controls on each test prompt, and then decides.")
        elif opened.is_latest:
            st.info("Nothing ran yet. Freeze it first: a run of a draft is exploratory, whatever it shows.")
        else:
            st.info("Nothing ran of this version.")
        return
    if n := len(opened.early):
        were = f"{n} runs of this text were" if n > 1 else "1 run of this text was"
        st.caption(f"{were} begun before it was frozen: who froze it may have seen what came out.")
    run = _chosen(opened)
    try:
        over = _over(opened, run)
        kept, found = shown(run, over)
    except LabError as problem:
        st.error(sentence(problem))
        return
    evidence(run, kept, found, over)


def _over(opened: Opened, run: Record[RunBody]) -> tuple[float, ...]:
    if not opened.complete(run):
        return ()
    lab, viewer, unread = get_lab(), me(), list[str]()
    every = entries(lab, viewer, unread) + entries(lab, viewer, unread, deleted=True)
    mine = next((entry for entry in every if entry.record.id == opened.id), None)
    return () if mine is None else others(mine, run, every, result_of)


def _chosen(opened: Opened) -> Record[RunBody]:
    """The newest that is complete, unless another is asked for."""
    complete = [run for run in opened.runs if opened.complete(run)]
    first = (complete or opened.runs)[0]
    if len(opened.runs) == 1:
        return first
    by_id = {run.id: run for run in opened.runs}
    chosen = st.selectbox(
        "Run",
        list(by_id),
        index=list(by_id).index(first.id),
        key=f"run_of_{opened.id}_{opened.number}_{len(by_id)}",
        format_func=lambda id: _named(opened, by_id[id]),
    )
    return by_id[chosen]


def _named(opened: Opened, run: Record[RunBody]) -> str:
    body = run.head.body
    done = "complete" if opened.complete(run) else f"{opened.done(run)} of {total(body.body)} prompts"
    options = [word for word, on in (("full grid", body.full_grid), ("predicts", body.predicts)) if on]
    early = ["exploratory: begun before it was frozen"] if run in opened.early else []
    return ", ".join([when(run.created), run.owner.name, done, *options, *early])

"""The versions of a hypothesis: which are frozen, opening one, and two of them side by side."""

import difflib

import pandas as pd
import streamlit as st

from lab import HypothesisBody, HypothesisFile
from lab.differences import differences
from lab.freeze import write
from ui.hypothesis_go import go
from ui.hypothesis_look import DRAFT, EXPLORATORY, FROZEN, TAMPERED, when
from ui.hypothesis_opened import Opened
from ui.sidebar import plain


def versions(opened: Opened) -> None:
    for revision in opened.history:
        checked = opened.checked.get(revision.number)
        state = DRAFT
        if checked is not None:
            state = f"{FROZEN} `{checked.freeze.hash[:12]}`" if checked.fault is None else TAMPERED
            state += f" {EXPLORATORY}" if checked.freeze.previous is not None else ""
        row = st.container(horizontal=True, vertical_alignment="center", gap="small")
        row.button(
            f"Version {revision.number}",
            key=f"version_{revision.number}",
            type="tertiary",
            disabled=revision.number == opened.number,
            on_click=go,
            kwargs={"hypothesis": opened.id, "version": str(revision.number)},
        )
        row.markdown(state)
        row.caption(f"{plain(revision.author)}, {when(revision.created)}")
    if len(opened.history) > 1:
        _compared(opened)


def _compared(opened: Opened) -> None:
    with st.expander("Compare two versions", icon=":material/compare_arrows:"):
        bodies = {revision.number: revision.body for revision in opened.history}
        left, right = st.columns(2)
        numbers = list(bodies)
        one = left.selectbox("From", numbers, index=1, key=f"from_{opened.id}", format_func=lambda n: f"version {n}")
        two = right.selectbox("To", numbers, index=0, key=f"to_{opened.id}", format_func=lambda n: f"version {n}")
        found = differences(bodies[one], bodies[two])
        if not found:
            st.caption("They say the same.")
            return
        before, after = f"version {one}", f"version {two}"
        rows = [{"field": d.field, before: d.before or "–", after: d.after or "–"} for d in found]
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Fields that differ")
        with st.popover("As text"):
            st.code(_text(bodies[one], bodies[two], (before, after)), language="diff")


def _text(one: HypothesisBody, two: HypothesisBody, names: tuple[str, str]) -> str:
    """Of the canonical YAML, by line."""
    before, after = (write(HypothesisFile(hypothesis=body)).splitlines() for body in (one, two))
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm=""))

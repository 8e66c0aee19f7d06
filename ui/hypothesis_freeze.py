"""Freezing a draft: what will be, said before it is for good; and the line that says who froze a version, and when."""

from datetime import UTC

import streamlit as st

from lab import Checked, HypothesisBody
from service import Service
from ui.hypothesis_fit import whole
from ui.hypothesis_go import said
from ui.hypothesis_opened import Opened
from ui.session import get_lab, me
from ui.sidebar import plain, sentence


def freeze_line(checked: Checked) -> None:
    freeze = checked.freeze
    after = "first in its chain" if freeze.previous is None else f"after {freeze.previous[:12]}…"
    holds = (
        "erased" if checked.erased else "does not hold" if checked.fault is not None else "checked just now: it holds"
    )
    time = f"{freeze.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    st.caption(f"Frozen by {plain(freeze.by)}, {plain(time)}, {after}; SHA-256 `{freeze.hash}`, {holds}.")


def freeze_button(service: Service, opened: Opened) -> None:
    """Of the latest version, while it is a draft."""
    if not opened.is_latest or opened.number in opened.checked:
        return
    body = whole(opened.body, service)
    with st.popover("Freeze…", icon=":material/lock:", type="primary"):
        st.markdown("**Freezing is for good.**")
        st.markdown(
            "Its text gets a hash, your name and the time, and nobody can change it any more: a change is a new"
            " version, whose runs are exploratory. Freeze before you run: only then is a run confirmatory."
        )
        if opened.runs:
            st.warning("This text was run already, as a draft. Who has seen what came out does not confirm it by that.")
        problem = body.unready()
        if problem is not None:
            st.error(sentence(problem))
        taken = [
            what
            for what, is_new in (
                ("the fingerprints of what is loaded", body.model_fingerprint != opened.body.model_fingerprint),
                ("the split into discovery and test", body.split != opened.body.split),
            )
            if is_new
        ]
        if taken:
            st.caption(f"Before that, version {opened.number + 1} takes up what was open: {' and '.join(taken)}.")
        if body.split.hash is not None:
            st.caption(
                f"{len(body.prompts_for('test'))} prompts will decide, {len(body.prompts_for('discovery'))} not."
            )
        st.button(
            "Freeze it for good",
            key="freeze",
            type="primary",
            disabled=problem is not None,
            on_click=said,
            args=(lambda: _freeze(opened, body),),
        )


def _freeze(opened: Opened, body: HypothesisBody) -> None:
    lab, author, number = get_lab(), me(), opened.number
    if body != opened.body:
        number = lab.save(opened.id, author, body, number).number
    lab.freeze(opened.id, author, number)
    st.query_params.from_dict({"hypothesis": opened.id})

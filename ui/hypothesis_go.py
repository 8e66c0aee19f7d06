"""Ways about the Hypotheses page, and what its buttons say when something is wrong."""

from collections.abc import Callable

import streamlit as st

from lab import LabError

STEP_BACK = "All hypotheses"


def go(**query: str) -> None:
    """To another address of this page: a link to the page that one is on leaves the address as it was."""
    st.query_params.from_dict(query)


def said(work: Callable[[], object]) -> None:
    """Run a callback; what is wrong is shown on the page."""
    try:
        work()
    except LabError as problem:
        st.session_state["hypothesis_problem"] = str(problem)

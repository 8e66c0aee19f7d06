"""The record does not answer what a page asked it: the page says so in one line, not that the program is at fault."""

import streamlit as st

from lab import LabDatabaseError, LabError
from ui.sidebar import sentence


def said(problem: Exception) -> bool:
    """True if that was it, as Streamlit's `on_script_error` wants it."""
    if not isinstance(problem, LabError | LabDatabaseError):
        return False
    st.error(sentence(problem))
    return True

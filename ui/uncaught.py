"""The record does not answer, and a page asked it for something: the page says so in one line, where it would have shown
an error of the program."""

import streamlit as st

from lab import LabDatabaseError, LabError
from ui.sidebar import sentence


def said(problem: Exception) -> bool:
    """True if that was it, as Streamlit's `on_script_error` wants it."""
    if not isinstance(problem, LabError | LabDatabaseError):
        return False
    st.error(sentence(problem))
    return True

"""A line that is kept up to date by itself while something is under way; the page runs once when it is over."""

from collections.abc import Callable

import streamlit as st


def follow(words: Callable[[], str | None]) -> bool:
    """Draws what `words()` says, as Markdown, each second anew, until it says None. True if it said something now."""
    if words() is None:
        return False
    _line(words)
    return True


@st.fragment(run_every=1.0)
def _line(words: Callable[[], str | None]) -> None:
    text = words()
    if text is None:
        st.rerun()
    st.caption(text)

"""Places for what comes and goes."""

import streamlit as st


def clear_rest(key: str, used: int) -> None:
    """At the end of a container: empty the places that earlier runs of this session filled after the first `used`.

    Streamlit keeps what a run drew until the next one is over, and on a busy page then doesn't always take it away: a
    removed field stayed for good. What is drawn in its place does replace it.
    """
    most = st.session_state[key] = max(used, st.session_state.get(key, 0))
    for _ in range(used, most):
        st.empty()

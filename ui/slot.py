"""Places for what comes and goes, and fields whose text is kept elsewhere."""

import streamlit as st


def clear_rest(key: str, used: int) -> None:
    """At the end of a container: empty the places that earlier runs of this session filled after the first `used`.

    Streamlit keeps what a run drew until the next one is over, and on a busy page then doesn't always take it away: a
    removed field stayed for good. What is drawn in its place does replace it.
    """
    most = st.session_state[key] = max(used, st.session_state.get(key, 0))
    for _ in range(used, most):
        st.empty()


def shows(key: str, value: str) -> None:
    """Give the field `key`, before it is drawn, the text that is kept elsewhere.

    Only what has changed is set: a value that is set at each run takes away what somebody types while one is under way.
    The field gets it as its first value too: a run that overtakes the one that set it would draw it empty.
    """
    if st.session_state.get(key) != value:
        st.session_state[key] = value

"""What a run of a hypothesis shows: the verdict first, then the figures that it rests on."""

import streamlit as st

from lab.runs.bodies import RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Result
from lab.views import Record
from ui.sidebar import plain


def evidence(run: Record[RunBody], kept: Kept, found: Result) -> None:
    """Of a run that may still be under way. `found`: what `lab.runs.conclude.result` makes of `kept`."""
    st.caption(f"{found.finished} of {found.total} prompts finished.")
    if found.verdict is not None:
        st.markdown(plain(found.verdict.sentence))

"""A click that the record or the service may refuse: why is then said in a corner of the page."""

from collections.abc import Callable

import streamlit as st

from lab import LabError
from service import Refused
from ui.sidebar import sentence


def tell(work: Callable[[], object]) -> None:
    """For a callback."""
    told(work)


def told(work: Callable[[], object]) -> bool:
    """True if it was done."""
    try:
        work()
    except (LabError, Refused) as problem:
        st.toast(sentence(problem), icon=":material/error:")
        return False
    return True

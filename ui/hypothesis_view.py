"""One hypothesis: what it says, its versions, freezing it, running it, and the evidence."""

import streamlit as st

from lab import LabError
from service import Service
from ui.session import get_lab, me
from ui.sidebar import plain


def hypothesis(service: Service, id: str) -> None:
    """`id`: of the record, as the address has it."""
    try:
        record = get_lab().get(id, me())
    except LabError as problem:
        st.error(f"The hypothesis of this link can't be opened: {plain(str(problem))}.")
        return
    st.subheader(plain(record.head.body.title))

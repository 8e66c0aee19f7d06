"""The notebook: all hypotheses with what became of them, corrected over one another."""

import streamlit as st

from service import Service
from ui.session import get_lab, me
from ui.sidebar import plain


def hypotheses(service: Service) -> None:
    for record in get_lab().find("hypothesis", me()):
        st.markdown(plain(record.head.body.title))

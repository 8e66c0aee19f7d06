"""Writing a hypothesis, step by step, from a circuit or a saved run; what it saves is a draft."""

import streamlit as st

from service import Service


def wizard(service: Service) -> None:
    """`?write=new` begins one, `?write=ID` goes on with that record as its next version."""
    st.info("Pin a circuit on the Graph page, or save a run on the Steer page, and begin there.")

"""Hypotheses: claims, frozen before they run, decided with controls. One is written, or read, or all are listed."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.hypothesis_examples import worked_example
from ui.hypothesis_list import hypotheses
from ui.hypothesis_view import hypothesis
from ui.hypothesis_wizard import wizard
from ui.session import get_service

service = get_service()
st.title("Hypotheses")
if "write" in st.query_params:
    wizard(service)
elif (name := st.query_params.get("example")) is not None:
    worked_example(name)
elif (id := st.query_params.get("hypothesis")) is not None:
    hypothesis(service, id)
else:
    hypotheses(service)

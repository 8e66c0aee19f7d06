"""Compare: what the model says under two to four conditions, side by side; or two graphs."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.compare_graphs import compare_graphs
from ui.compare_panel import compare_panel
from ui.loaded_model import loaded_model
from ui.session import get_service

service = get_service()
st.title("Compare")
graphs = "left" in st.query_params or "right" in st.query_params
what = st.segmented_control(
    "What is compared",
    ["Outputs", "Graphs"],
    default="Graphs" if graphs else "Outputs",
    key="compare_what",
    required=True,
    label_visibility="collapsed",
)
if what == "Graphs":
    compare_graphs(service)
    st.stop()
model = loaded_model(service)
if model is None:
    st.stop()
compare_panel(service, model)

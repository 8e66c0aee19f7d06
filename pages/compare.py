"""Compare: what the model says under two to four conditions, side by side; or two graphs."""

import streamlit as st

from ui.compare_graphs import compare_graphs
from ui.compare_panel import compare_panel
from ui.follow import follow
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
model = service.model
if model is None:
    if not follow(lambda: None if service.model is not None else "The model is being prepared: see the sidebar."):
        st.error("There is no model: the sidebar says why.")
    st.stop()
compare_panel(service, model)

"""Trace: from a prompt to its attribution graph."""

import streamlit as st

import ui.layers  # noqa: F401
from ui import job_panel, recent
from ui.demo_bar import demo_starts
from ui.gallery import gallery
from ui.prompt_form import prompt_form
from ui.session import get_service

service = get_service()

st.title("Trace a prompt")
job_panel.open_finished_graph()
with st.expander("How this works", expanded=recent.is_empty(service), icon=":material/help:"):
    st.markdown(
        "1. **Type a prompt** that ends where the model should answer, or take an example from below.\n"
        "2. **Check** that the next token shown is the behaviour you want to explain.\n"
        "3. **Trace.** The graph explains the logits at the last position by the features that produced them,"
        " back to the tokens. Each edge is a direct effect; what is not chosen stays visible.\n"
        "4. **Explore** it: click a node for its inputs and outputs, change the thresholds, share the link."
    )
left, right = st.columns([3, 2], gap="large")
with left:
    job_panel.cut_off(service)
    prompt_form(service, preview_in=right)
    job_panel.job_panel(service)
demo_starts()
gallery()
recent.recent_graphs(service)

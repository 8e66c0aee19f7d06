"""Steer: set features to values, see what the model says then, beside what it says without."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.loaded_model import loaded_model
from ui.session import get_service
from ui.steer_panel import follow_address, steer_panel

service = get_service()
st.title("Steer")
follow_address(service)
model = loaded_model(service)
if model is None:
    st.stop()
steer_panel(service, model)

"""Steer: set features to values, see what the model says then, beside what it says without."""

import streamlit as st

from ui.follow import follow
from ui.session import get_service
from ui.steer_panel import follow_address, steer_panel

service = get_service()
st.title("Steer")
follow_address(service)
model = service.model
if model is None:
    if not follow(lambda: None if service.model is not None else "The model is being prepared: see the sidebar."):
        st.error("There is no model: the sidebar says why.")
    st.stop()
steer_panel(service, model)

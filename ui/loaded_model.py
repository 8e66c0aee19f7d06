"""The loaded model, for pages that can do nothing without one."""

import streamlit as st

from service import Service
from tracer import ReplacementModel
from ui.follow import follow


def loaded_model(service: Service) -> ReplacementModel | None:
    """None while there is none: that it is being prepared, or that it did not load, is then drawn."""
    model = service.model
    if model is None and not follow(
        lambda: None if service.model is not None else "The model is being prepared: see the sidebar."
    ):
        st.error("There is no model: the sidebar says why.")
    return model

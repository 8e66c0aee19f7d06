"""System: what runs here, with what, and where it is kept."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.queue_view import queue_section
from ui.session import get_service
from ui.system_view import (
    cache_section,
    disk_section,
    licences,
    loaded_section,
    machine,
    model_section,
    model_switch,
    settings_section,
    versions,
)

service = get_service()
st.title("System")
left, right = st.columns(2, gap="large")
with left:
    model_section(service)
    model_switch(service)
    loaded_section(service)
    queue_section(service)
    machine(service)
    cache_section(service)
    disk_section(service)
with right:
    versions()
    settings_section(service)
    licences()

"""People: who is here, what each may do, which of them are one person. For admins."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.people_view import people
from ui.session import get_service

get_service()
st.title("People")
people()

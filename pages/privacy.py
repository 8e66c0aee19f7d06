"""Privacy: what this server logs and keeps, where, for how long, and who sees it."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.privacy_view import own_use, own_words, what_is_kept
from ui.session import get_service

service = get_service()
st.title("Privacy")
what_is_kept(service)
own_use(service)
own_words()

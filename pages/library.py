"""Library: graphs and circuits, search, import, storage; two graphs side by side, where the address names them."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.library_view import comparison, library
from ui.session import get_service

service = get_service()
left, right = st.query_params.get("left"), st.query_params.get("right")
if left and right:
    st.title("Two graphs compared")
    comparison(service, left, right)
else:
    st.title("Library")
    library(service)

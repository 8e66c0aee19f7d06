"""Library: graphs and circuits, search, import, storage."""

import streamlit as st

from ui.library_view import library
from ui.session import get_service

service = get_service()
st.title("Library")
library(service)

"""Hypograph: navigation, theme, and the sidebar. Everything else is in pages/."""

import streamlit as st

from ui.session import get_service
from ui.sidebar import sidebar

# Streamlit writes white on the accent in both themes; on the dark theme's lighter accent that can't be read.
CONTRAST = (
    '<style>[data-testid="stBaseButton-primary"], [data-testid="stBaseLinkButton-primary"],'
    ' [data-testid="stMultiSelectTagsContainer"] span {color: light-dark(#ffffff, #0d1214)}</style>'
)

st.set_page_config(page_title="Hypograph", layout="wide")
st.html(CONTRAST)
page = st.navigation(
    [
        st.Page("pages/trace.py", title="Trace", icon=":material/timeline:", default=True),
        st.Page("pages/graph.py", title="Graph", icon=":material/hub:"),
        st.Page("pages/system.py", title="System", icon=":material/memory:"),
    ]
)
sidebar(get_service(), page.title)
page.run()

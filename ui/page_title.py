"""The browser tab's title, and a look whether the page is still there (page_title.js says why it may not be)."""

from pathlib import Path

import streamlit as st

_title = st.components.v2.component("hypograph_page_title", js=Path(__file__).with_suffix(".js").read_text("utf-8"))


def page_title(text: str) -> None:
    """Runs the app again if the page is gone."""
    shown = _title(key="page_title", data={"title": text}, on_gone_change=lambda: None)
    if shown.gone:
        st.rerun()

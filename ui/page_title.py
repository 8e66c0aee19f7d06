"""The browser tab's title."""

from pathlib import Path

import streamlit as st

_title = st.components.v2.component("hypograph_page_title", js=Path(__file__).with_suffix(".js").read_text("utf-8"))


def page_title(text: str) -> None:
    _title(key="page_title", data={"title": text})

"""The colours of a sign (DESIGN §8), wherever Python draws. Never alone: a form goes with them."""

from typing import NamedTuple

import streamlit as st

POSITIVE, NEGATIVE = "#1b7f79", "#b8621b"


class Palette(NamedTuple):
    """Of a drawing that does not read Streamlit's theme itself (.streamlit/config.toml)."""

    positive: str
    negative: str
    text: str
    ground: str


LIGHT = Palette(POSITIVE, NEGATIVE, "#101618", "#ffffff")
DARK = Palette("#4fb8b0", "#e08e45", "#e4eaea", "#14191b")


def palette() -> Palette:
    """Of the theme that the visitor sees."""
    return DARK if st.context.theme.type == "dark" else LIGHT

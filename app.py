"""Hypograph: navigation, theme, the sidebar, and the bar of a guided demo. Everything else is in pages/."""

from pathlib import Path
from typing import Literal

import streamlit as st

import ui.layers  # noqa: F401
from lab import Role
from ui.demo_bar import demo_bar
from ui.fragments import mind_fragments
from ui.session import APP, get_service, role
from ui.sidebar import sidebar
from ui.theme_once import read_theme_once
from ui.uploads import mind_uploads

# Streamlit writes white on the accent in both themes; on the dark theme's lighter accent that can't be read. Its wide
# layout leaves margins that a graph can use. What the card shows of the node before is faint (ui/card_head.js). What is
# steered and what it does are below each other where they would squeeze each other; so are a hypothesis's fields and
# what is said of them, which else stays in view.
STYLE = """<style>
[data-testid="stBaseButton-primary"], [data-testid="stBaseLinkButton-primary"],
[data-testid="stMultiSelectTagsContainer"] span {color: light-dark(#ffffff, #0d1214)}
.st-key-card[data-waiting] > :not(:first-child) {opacity: 0.45}
[data-testid="stMainBlockContainer"] {padding-left: clamp(1rem, 2.5vw, 3rem); padding-right: clamp(1rem, 2.5vw, 3rem)}
@media (max-width: 1150px) {
  .st-key-steer > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"],
  .st-key-wizard > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"] {min-width: 100%}
}
@media (min-width: 1151px) {
  [data-testid="stColumn"]:has(.st-key-wizard_side) {position: sticky; top: 4rem; align-self: flex-start}
}
</style>"""

# a local icon: those of the pages would be fetched from a font server
st.set_page_config(page_title="Hypograph", page_icon=str(Path(__file__).parent / "ui" / "icon.svg"), layout="wide")
st.html(STYLE)
st.session_state[APP] = True
mind_fragments()
mind_uploads()
read_theme_once()
own = role()
for_admins: Literal["visible", "hidden"] = "visible" if own is Role.ADMIN else "hidden"
page = st.navigation(
    [
        st.Page("pages/trace.py", title="Trace", icon=":material/timeline:", default=True),
        st.Page("pages/graph.py", title="Graph", icon=":material/hub:"),
        st.Page("pages/steer.py", title="Steer", icon=":material/tune:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare:"),
        st.Page("pages/batch.py", title="Batch", icon=":material/dataset:"),
        st.Page("pages/hypotheses.py", title="Hypotheses", icon=":material/experiment:"),
        st.Page("pages/library.py", title="Library", icon=":material/folder_open:"),
        st.Page("pages/system.py", title="System", icon=":material/memory:"),
        st.Page("pages/people.py", title="People", icon=":material/group:", visibility=for_admins),
        st.Page("pages/privacy.py", title="Privacy", icon=":material/policy:"),
    ],
    position="sidebar" if own else "hidden",
)
service = get_service()
sidebar(service, page.title)
if demo_bar(service, page.url_path):
    page.run()

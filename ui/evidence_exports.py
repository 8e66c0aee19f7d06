"""A run to take along: one HTML file for readers, and the bundle that it can be repeated from. Made on a click."""

import streamlit as st

from lab.runs.bodies import RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Result
from lab.views import Record
from ui.report_html import as_html


def exports(run: Record[RunBody], kept: Kept, found: Result, name: str) -> None:
    """`name`: of the files, without ending."""
    body, started = run.head.body, run.created
    row = st.container(horizontal=True, gap="small", vertical_alignment="center")
    row.download_button(
        "Report (HTML)",
        data=lambda: as_html(body, started, kept, found),
        file_name=f"{name}.html",
        mime="text/html",
        key="evidence_html",
        on_click="ignore",
        help="One file without scripts; opens in any browser, and prints.",
    )

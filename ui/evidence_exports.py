"""A run to take along: one HTML file for readers, and the bundle from which it can be repeated. Made on a click."""

from collections.abc import Sequence

import streamlit as st

from lab.runs.bodies import RunBody
from lab.runs.bundle import pack
from lab.runs.keeping import Kept
from lab.runs.report import markdown
from lab.runs.result import Result
from lab.views import Record
from ui.report_html import as_html


def exports(run: Record[RunBody], kept: Kept, found: Result, notebook: Sequence[float], name: str) -> None:
    """`name`: of the files, without ending."""
    body, started = run.head.body, run.created
    st.markdown("#### To take along")
    row = st.container(horizontal=True, gap="small", vertical_alignment="center")
    row.download_button(
        "Report (HTML)",
        data=lambda: as_html(body, started, kept, found),
        file_name=f"{name}.html",
        mime="text/html",
        key=f"evidence_html_{run.id}",
        on_click="ignore",
        help="One file without scripts; opens in any browser, and prints.",
    )
    row.download_button(
        "Bundle (zip)",
        data=lambda: pack(body, started, kept, found, markdown(body, started, kept, found), notebook),
        file_name=f"{name}.zip",
        mime="application/zip",
        key=f"evidence_bundle_{run.id}",
        on_click="ignore",
        help="Hypothesis, figures and report (Markdown); `python -m tracer reproduce` repeats the run from it.",
    )

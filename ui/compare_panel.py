"""The Compare page's outputs: columns, their run, and what it shows."""

import streamlit as st

from service import Service
from tracer import ReplacementModel, TracerError
from ui.compare_cases import Ready, ready
from ui.compare_columns import comparison
from ui.compare_form import columns_form
from ui.compare_result import show
from ui.compare_run import result
from ui.sidebar import plain
from ui.steer_draft import steering


def compare_panel(service: Service, model: ReplacementModel) -> None:
    here = steering()
    wanted = comparison(here.prompt if any(row.on for row in here.rows) else None)
    columns_form(wanted)
    columns: list[Ready] = []
    problems = []
    for at, column in enumerate(wanted.columns, start=1):
        try:
            columns.append(ready(service, model, column))
        except TracerError as problem:
            problems.append(f"Column {at}: {plain(str(problem))}.")
    asked = wanted.asked
    steered = next((column for column in columns if column.case.edits), None)
    if steered is not None and wanted.fill(steered.prompt):
        st.rerun()
    if problems:
        wanted.asked = False
        for line in problems:
            (st.error if asked else st.info)(line)
        return
    if asked:
        wanted.write()
    place = st.container()
    try:
        with place:
            sheet, current = result(model, wanted, columns)
    except TracerError as problem:
        st.error(f"{plain(str(problem)[:1].upper() + str(problem)[1:])}.")
        return
    if st.session_state.pop("compare_cancelled", False):
        st.info("Cancelled. Nothing of it was kept.")
    if sheet is None:
        st.caption("Press Compare: each column's text is generated, and then read under the other conditions.")
        return
    if current:
        wanted.write()
    else:
        st.info("The columns have changed since: press Compare to run them as they are now.")
    show(sheet)

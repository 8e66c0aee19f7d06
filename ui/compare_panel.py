"""The Compare page's outputs: columns, their run, and what it shows."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from service import Service
from tracer import ReplacementModel, TracerError
from ui.compare_cases import Asked, Ready, asked, ready, saved_runs
from ui.compare_columns import Comparison, comparison
from ui.compare_form import columns_form
from ui.compare_loading import model_beside
from ui.compare_models import offered
from ui.compare_result import show
from ui.compare_run import last, result
from ui.sidebar import plain, sentence
from ui.steer_draft import steering


def compare_panel(service: Service, model: ReplacementModel) -> None:
    here = steering()
    wanted = comparison(here.prompt if any(row.on for row in here.rows) else None)
    runs = saved_runs()
    models = offered(service, runs.values())
    columns_form(wanted, runs, models, service.model_state())
    found: list[Asked] = []
    problems = []
    for at, column in enumerate(wanted.columns, start=1):
        try:
            found.append(asked(service, model, column, models))
        except TracerError as problem:
            problems.append(f"Column {at}: {plain(str(problem))}.")
    steered = next((column for column in found if column.steering and column.prompt), None)
    if steered is not None and wanted.fill(steered.prompt, steered.choice):
        st.rerun()
    choices = {column.choice for column in found if column.choice is not None}
    if len(choices) > 1:
        problems.append("At most one model can be loaded beside the loaded one, and these columns ask for more.")
    if problems:
        _refused(wanted, problems)
        return
    other, place = None, st.container()
    for choice in choices:
        with place:
            other = model_beside(service, wanted, choice)
        if other is None:
            _cancelled()
            if (sheet := last()) is not None:
                show(sheet)
            return
    columns: list[Ready] = []
    for at, one in enumerate(found, start=1):
        try:
            columns.append(ready(service, model if one.choice is None or other is None else other, one))
        except TracerError as problem:
            problems.append(f"Column {at}: {plain(str(problem))}.")
    if problems:
        _refused(wanted, problems)
        return
    with service.in_use(choices):
        _compare(wanted, columns, place)


def _compare(wanted: Comparison, columns: list[Ready], place: DeltaGenerator) -> None:
    """`place` is for the progress."""
    if wanted.asked:
        wanted.write()
    try:
        with place:
            sheet, current = result(wanted, columns)
    except TracerError as problem:
        st.error(sentence(problem))
        return
    _cancelled()
    if sheet is None:
        st.caption("Press Compare: each column's text is generated, and then read under the other conditions.")
        return
    if current:
        wanted.write()
    else:
        st.info("The columns have changed since: press Compare to run them as they are now.")
    show(sheet)


def _refused(wanted: Comparison, problems: list[str]) -> None:
    for line in problems:
        (st.error if wanted.asked else st.info)(line)
    wanted.asked = False


def _cancelled() -> None:
    if st.session_state.pop("compare_cancelled", False):
        st.info("Cancelled. Nothing of it was kept.")

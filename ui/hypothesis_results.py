"""What runs of hypotheses show, remembered: a complete run's figures don't change."""

import streamlit as st

from lab.runs.bodies import RunBody
from lab.runs.conclude import result
from lab.runs.keeping import Kept
from lab.runs.result import Result
from lab.views import Record
from ui.session import get_lab, me


def result_of(run: Record[RunBody], notebook: tuple[float, ...] = ()) -> Result:
    """`notebook`: the other p values over which its p is corrected. Raises LabError for figures that can't be read."""
    return shown(run, notebook)[1]


def shown(run: Record[RunBody], notebook: tuple[float, ...] = ()) -> tuple[Kept, Result]:
    """A run's figures, and what follows from just these: one that is under way has more a moment later."""
    return _shown(run.id, get_lab().finished([run.id], me()).get(run.id, 0), notebook, run)


@st.cache_resource(max_entries=1_000, show_spinner=False)
def _shown(id: str, n: int, notebook: tuple[float, ...], _run: Record[RunBody]) -> tuple[Kept, Result]:
    kept = get_lab().figures(id, me())
    return kept, result(_run.head.body, _run.created, kept, notebook)

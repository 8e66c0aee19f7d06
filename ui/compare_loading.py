"""The model beside the loaded one: asked for when Compare is pressed, its progress, why it is not there."""

import streamlit as st

from service import Choice, Service
from tracer import ReplacementModel
from ui.compare_columns import Comparison
from ui.follow import follow
from ui.session import me
from ui.sidebar import PHASES, plain, short_features
from ui.told import told


def model_beside(service: Service, wanted: Comparison, choice: Choice) -> ReplacementModel | None:
    """None while it is not there: how far it is, or why, is then drawn."""
    found = service.beside(choice)
    if found is not None:
        wanted.waits = None
        return found
    name = plain(f"{short_features(choice.model)} with {short_features(choice.features)}")
    if wanted.asked and wanted.waits != choice:
        if told(lambda: service.load_beside(choice, me())):
            wanted.waits = choice
        else:
            wanted.asked = False
    if wanted.waits != choice:
        st.info(f"{name} is loaded beside the loaded model when you press Compare.")
        return None

    def words() -> str | None:
        view = service.beside_state(choice)
        if view is None or view.state != "loading":
            return None
        return f"{name}: {PHASES.get(view.phase, view.phase)}, {view.fraction:.0%}"

    bar, stop = st.columns([5, 1], vertical_alignment="center")  # where the run has its own, which replace them
    with bar:
        waits = follow(words)
    if waits:
        stop.button("Cancel", key="compare_give_up", on_click=_give_up, args=(service, wanted, choice), width="stretch")
        return None
    view = service.beside_state(choice)
    wanted.asked, wanted.waits = False, None
    if view is not None and view.error is not None:
        st.error(f"{name} was not loaded: {plain(view.error)}.")
    else:
        st.error(f"{name} was not loaded: something else was asked for meanwhile. Press Compare to try again.")
    return None


def _give_up(service: Service, wanted: Comparison, choice: Choice) -> None:
    told(lambda: service.give_up_beside(choice, me()))
    wanted.asked, wanted.waits = False, None
    st.session_state["compare_cancelled"] = True

"""The Steer page: what is steered on the left, what it does on the right. One fragment: a slider reruns this alone."""

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st
from pydantic import ValidationError

from lab import About, LabError, Record, SteeringBody
from service import Service
from tracer import Graph, ReplacementModel, TracerError
from tracer.errors import first_fault
from ui import steer_form
from ui.circuit_draft import draft_of
from ui.protocol_field import protocol_field
from ui.session import get_lab, me
from ui.sidebar import plain, sentence
from ui.steer_draft import Steering, from_record, steering, take_circuit
from ui.steer_result import dose_response, prompt_only, result
from ui.steer_rows import rows, rows_in_words
from ui.steer_run import Outcome, controlled, run, stop_controls
from ui.steer_text import text_under_edits
from ui.who_sees import seen_as
from ui.wizard_sources import begin_from, of_run

LONGEST_TITLE = 300


def follow_address(service: Service) -> None:
    """`?run=id` opens a saved run; `?graph=key` takes that graph's circuit, unless this tab steers it already."""
    id, key = st.query_params.get("run"), st.query_params.get("graph")
    now = steering()
    if id is not None and now.record != id:
        try:
            record: Record[SteeringBody] = get_lab().get(id, me())
        except LabError as problem:
            st.error(f"The run of this link can't be opened: {plain(str(problem))}.")
            return
        if record.kind != "steering":
            st.error("This link leads to something that is no steering run.")
            return
        st.session_state["steering"] = from_record(id, record.head.body, record.about.graph)
        return
    if key is None and not now.rows and not now.prompt:
        key = st.session_state.get("opened_graph")
    if id is None and key is not None and now.graph != key:
        graph = service.graph(key)
        if graph is None:
            st.error("This graph is not in this machine's cache (any more). Trace its prompt again to get it back.")
            return
        take_circuit(key, graph, draft_of(key, str(graph.meta.get("prompt", ""))))


@st.fragment
def steer_panel(service: Service, model: ReplacementModel) -> None:
    wanted = steering()
    graph = service.graph(wanted.graph) if wanted.graph else None
    if not wanted.fits(model):
        of = "This graph" if graph is not None else "What is steered here"
        st.warning(
            f"{of} was made with another model, or other features, than {plain(model.name)}, {plain(model.basis.name)},"
            " which are loaded: numbers of features and tokens mean nothing there. Load those again, or start anew."
        )
        st.button("Start anew", key="steer_anew", on_click=_anew)
        return
    # A place for each part: where one comes or goes, Streamlit can leave those after it on the page twice.
    left, right = st.container(key="steer").columns([6, 7], gap="large")
    prompt, edits, below, *rest = (left.container() for _ in range(5))
    with prompt:
        steer_form.prompt_field(service, model, wanted)
    with below:
        steer_form.buttons(service, model, graph, wanted)
    with rest[0]:
        now = wanted.protocol, wanted.layers
        wanted.protocol, wanted.layers = protocol_field(model, now, "steer", f"{wanted.id}")
    with rest[1]:
        steer_form.controls(wanted, graph is not None and tuple(graph.token_ids) == wanted.tokens)
    outcome, refused = _run(service, model, graph, wanted)
    with edits:  # with the values that they come to
        st.markdown("**Edits**")
        with st.container():
            if not wanted.rows:
                st.info("Nothing is steered yet: add a feature, or pin some on the Graph page and come back.")
        rows(service, model, wanted, outcome)
    nothing, did, dose, other = (right.container() for _ in range(4))
    text = st.container()
    if outcome is None:
        with nothing:
            _nothing(wanted, refused)
        return
    with did:
        result(model, graph, wanted, outcome)
    with dose:
        dose_response(model, wanted, outcome)
    with other:
        prompt_only(service, model, outcome)
    with text:
        st.divider()
        text_under_edits(model, wanted, outcome.edits)
        _save(model, wanted, outcome)


def _run(
    service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering
) -> tuple[Outcome | None, str | None]:
    """What came of it, or why it can't be run."""
    if not wanted.tokens:
        return None, None
    try:
        return run(service, model, graph, wanted), None
    except TracerError as problem:
        stop_controls()
        return None, sentence(problem)


def _anew() -> None:
    st.session_state["steering"] = Steering()
    st.query_params.clear()


def _nothing(wanted: Steering, refused: str | None) -> None:
    if refused is not None:
        st.error(refused)
    elif not wanted.prompt:
        st.info("Type a prompt to steer.")
    elif wanted.rows and wanted.tokens:  # else it is said beside it what is missing
        st.info("No row is on: switch one on to see what it does.")


def _save(model: ReplacementModel, wanted: Steering, outcome: Outcome) -> None:
    title, save, link, claim = st.columns([5, 2, 2, 3], vertical_alignment="bottom")
    said = rows_in_words(wanted.rows)[:LONGEST_TITLE]
    name = title.text_input(
        "Title of the run",
        key=f"steer_title_{wanted.id}",
        max_chars=LONGEST_TITLE,
        placeholder=said,
        persist_state="session",
    )
    steered, follow = outcome.steered, outcome.follow
    figures = {
        "probability_before": float(steered.baseline_probabilities[follow]),
        "probability_after": float(steered.probabilities[follow]),
        "delta_logit": float(steered.delta[follow]),
        "kl": steered.kl,
    }

    def keep() -> None:
        figures["controls"] = float(len(controlled(st.session_state.get("steer_controls", (None, None))[1]).delta))
        try:
            body = replace(wanted, follow=follow).body(model, name or said, figures)
            about = About(graph=wanted.graph)
            record = get_lab().create(me(), about, body, seen_as(wanted.record, wanted.circuit))
        except (LabError, ValidationError) as problem:
            why = first_fault(problem) if isinstance(problem, ValidationError) else str(problem)
            st.session_state["steer_unsaved"] = why
            return
        wanted.record = st.query_params["run"] = record.id
        st.session_state["steer_saved"] = record.id

    save.button(
        "Save the run",
        key="steer_save",
        on_click=keep,
        width="stretch",
        help="With the prompt, rows, protocol, controls and their seed: all that is needed to run it again.",
    )
    if claim.button(
        "Make this a hypothesis",
        key="steer_hypothesis",
        help="A claim about these edits, decided with controls on other prompts.",
        width="stretch",
    ):
        begin_from(lambda model: of_run(wanted, name or said, model))
    with link.popover("Link", width="stretch", disabled=wanted.record is None):
        private = wanted.record is not None and seen_as(wanted.record) == "private"
        whom = "you alone: so is the circuit that it was begun from" if private else "whoever uses this server"
        st.caption(f"Opens the run as it was saved, for {whom}.")
        st.code(f"{st.context.url}?{urlencode({'run': wanted.record or ''})}", language=None, wrap_lines=True)
    with st.container():
        if unsaved := st.session_state.pop("steer_unsaved", None):
            st.error(f"Not saved: {plain(unsaved)}.")
    if st.session_state.pop("steer_saved", None):
        st.toast("Saved. Its link opens it again.", icon=":material/check_circle:")

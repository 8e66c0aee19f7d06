"""Writing a hypothesis, step by step, from a circuit or a saved run; what it saves is a draft."""

from collections.abc import Callable

import streamlit as st
from pydantic import ValidationError

from lab import About, Conflict, HypothesisBody, LabError
from lab.freeze import read
from lab.yaml_text import MOST_BYTES
from service import Service
from tracer import ReplacementModel, TracerError
from tracer.errors import first_fault
from ui.hypothesis_fit import fits
from ui.loaded_model import loaded_model
from ui.session import get_lab, me
from ui.sidebar import plain, sentence
from ui.wizard_claim import claim
from ui.wizard_draft import Writing, of_body
from ui.wizard_edit import edit
from ui.wizard_more import more
from ui.wizard_nodes import nodes
from ui.wizard_prompts import prompts
from ui.wizard_rules import rules
from ui.wizard_side import checks, file_of
from ui.wizard_sources import begin, begun, drop, of_record, of_saved_circuit, of_saved_run, saved_circuits


def wizard(service: Service) -> None:
    """`?write=new` begins one, with `circuit=ID` or `run=ID` from that; `?write=ID` goes on with that record, as its
    next version."""
    model = loaded_model(service)
    if model is None:
        return
    try:
        writing = _followed(service, model)
    except (LabError, TracerError) as problem:
        st.error(sentence(problem))
        return
    except ValidationError as problem:
        st.error(f"This makes no hypothesis: {sentence(first_fault(problem))}")
        return
    if writing is None or not writing.pieces:
        _empty(service)
        return
    if fits(writing, service):  # a draft, or a file, may come without fingerprints
        writing.model_fingerprint = writing.model_fingerprint or model.model_fingerprint
        writing.basis_fingerprint = writing.basis_fingerprint or model.basis_fingerprint
    _wizard(service, model, writing)


def _followed(service: Service, model: ReplacementModel) -> Writing | None:
    """What the address, or the button that led here, asks for: that is forgotten only once the draft is there, as
    another run of the page may overtake this one."""
    make: Callable[[ReplacementModel], Writing] | None = st.session_state.get("wizard_from")
    if make is not None:
        made = begin(make(model))
        st.session_state.pop("wizard_from", None)
        return made
    write = st.query_params.get("write", "new")
    if write != "new":
        return begun(f"record {write}") or begin(of_record(write))
    for name, of in (
        ("circuit", lambda id: of_saved_circuit(service, id, model)),
        ("run", lambda id: of_saved_run(id, model)),
    ):
        id = st.query_params.get(name)
        if id is not None:
            made = begin(of(id))
            del st.query_params[name]
            return made
    now = begun()
    return None if now is not None and now.record is not None else now


def _empty(service: Service) -> None:
    st.info("Pin a circuit on the Graph page, or steer on the Steer page, and press “Make this a hypothesis” there.")
    circuits = {record.id: record.head.body for record in saved_circuits(service)}
    if circuits:
        chosen = st.selectbox(
            "Or begin with a saved circuit",
            list(circuits),
            index=None,
            key="wizard_begin",
            placeholder="a circuit",
            format_func=lambda id: circuits[id].title,
        )
        if chosen is not None:
            st.query_params["circuit"] = chosen
            st.rerun()
    _import()


def _import() -> None:
    file = st.file_uploader(
        "YAML file of a hypothesis",
        type=["yaml", "yml"],
        key=f"wizard_import_{st.session_state.get('wizard_imports', 0)}",  # a new one, once a file is taken
        max_upload_size=max(1, MOST_BYTES // 1_000_000),
    )
    if file is None:
        return
    try:
        found = read(file.getvalue())
    except LabError as problem:
        st.error(f"Not read: {sentence(problem)}")
        return
    begin(of_body(found.hypothesis, f"file {file.file_id}"))
    st.session_state["wizard_imports"] = st.session_state.get("wizard_imports", 0) + 1
    st.query_params.from_dict({"write": "new"})
    st.rerun()


@st.fragment
def _wizard(service: Service, model: ReplacementModel, writing: Writing) -> None:
    if (writing.model_fingerprint, writing.basis_fingerprint) != (model.model_fingerprint, model.basis_fingerprint):
        st.warning(
            f"This was begun with {plain(writing.model)}, {plain(writing.features)}; {plain(model.name)},"
            f" {plain(model.basis.name)} is loaded, in which the numbers of features mean something else. Load that"
            " again (System), or start anew."
        )
        st.button("Start anew", key="wizard_anew", on_click=_anew, args=(writing,))
        return
    left, right = st.container(key="wizard").columns([7, 5], gap="large")
    claim_place, edit_place, prompt_place, rule_place, more_place, nodes_place = (left.container() for _ in range(6))
    with edit_place:
        st.markdown("**Circuit and edit**")
        edit(service, model, writing)
    with prompt_place:
        st.markdown("**Prompts**")
        prompts(writing)
    with rule_place:
        st.markdown("**What is measured, and what matters**")
        rules(writing)
    with more_place.expander("Controls, α, split, seeds, off-target prompts, notes"):
        more(writing)
    with claim_place:  # with the words that all the fields make
        st.markdown("**Claim**")
        claim(writing)
    with right.container(key="wizard_side"):
        buttons = st.container()
        body = checks(service, model, writing)
        with buttons:
            _buttons(writing, body)
    with nodes_place:
        if body is not None:
            with st.expander("Where each feature is on the prompts"):
                nodes(writing, body)


def _buttons(writing: Writing, body: HypothesisBody | None) -> None:
    row = st.container(horizontal=True, gap="small")
    row.button(
        "Save the hypothesis" if writing.record is None else "Save as a new version",
        key="wizard_save",
        type="primary",
        disabled=body is None,
        on_click=_save,
        args=(writing, body),
        help="As a draft: it is frozen and run from its own page.",
    )
    row.download_button(
        "Export YAML",
        "" if body is None else file_of(body),
        "hypothesis.yaml",
        "application/yaml",
        key="wizard_export",
        disabled=body is None,
        on_click="ignore",
    )
    with row.popover("Import YAML", help="In place of what is here; this is kept while this tab is open."):
        _import()
    row.button("Start anew", key="wizard_anew", on_click=_anew, args=(writing,), help="Forget what is typed here.")
    with st.container():
        st.caption("Kept while this tab is open; a reload of the page loses what is not saved.")
        if writing.record is None and writing.visibility == "private":
            st.caption("Private, as what it was begun from: only you will see it. Its page can show it to the lab.")
        if problem := st.session_state.pop("wizard_problem", None):
            st.error(sentence(problem))
    if saved := st.session_state.pop("wizard_saved", None):
        st.switch_page("pages/hypotheses.py", query_params={"hypothesis": saved})


def _save(writing: Writing, body: HypothesisBody) -> None:
    lab, about = get_lab(), About(graph=writing.graph, model=body.model_fingerprint, basis=body.basis_fingerprint)
    try:
        if writing.record is None:
            id = lab.create(me(), about, body, writing.visibility).id
        else:
            id = lab.save(writing.record, me(), body, writing.base).record
    except Conflict as conflict:
        writing.base = conflict.theirs.number
        st.session_state["wizard_problem"] = (
            f"version {conflict.theirs.number} was saved by {conflict.theirs.author} in the meantime: it stays among"
            " the versions; save again to put yours on top"
        )
        return
    except LabError as problem:
        st.session_state["wizard_problem"] = str(problem)
        return
    drop(writing)
    st.session_state["wizard_saved"] = id


def _anew(writing: Writing) -> None:
    drop(writing)
    st.query_params.from_dict({"write": "new"})

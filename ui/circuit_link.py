"""A link to a circuit, `?circuit=id`: opens its graph, thresholds and selection as they were saved."""

import streamlit as st

from lab import CircuitBody, LabError, Record
from ui.circuit_draft import open_record
from ui.session import get_lab, me
from ui.sidebar import plain


def follow_circuit() -> None:
    """Obey the address once: then its parts stand there by themselves, and can be changed."""
    id = st.query_params.pop("circuit", None)
    if id is None:
        return
    try:
        record: Record[CircuitBody] = get_lab().get(id, me())
    except LabError as problem:
        st.error(f"The circuit of this link can't be opened: {plain(str(problem))}.")
        return
    if record.kind != "circuit" or record.about.graph is None:
        st.error("This link leads to something that is no circuit.")
        return
    if record.deleted is not None:
        st.warning("This circuit was deleted; it is shown as it was. Its owner can bring it back.")
    draft = open_record(record)
    st.query_params["graph"] = record.about.graph
    st.session_state["nodes"] = draft.body.node_threshold
    st.session_state["edges"] = draft.body.edge_threshold
    if draft.body.selection is not None:
        st.query_params["select"] = draft.body.selection

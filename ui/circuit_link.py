"""A link to a circuit, `?circuit=id`: opens its graph, thresholds and selection as they were saved."""

import streamlit as st
from streamlit.errors import StreamlitAPIException

from lab import CircuitBody, LabError, Record
from ui.circuit_draft import Draft, open_record
from ui.explorer import DEFAULT_EDGES, DEFAULT_NODES
from ui.session import get_lab, me
from ui.sidebar import plain


def follow_circuit() -> None:
    """Obey the address once: then its parts stand there by themselves, and can be changed."""
    id = st.query_params.get("circuit")
    if id is None:
        if notice := st.session_state.pop("circuit_notice", None):
            st.warning(notice)
        return
    try:
        record: Record[CircuitBody] = get_lab().get(id, me())
    except LabError as problem:
        del st.query_params["circuit"]
        st.error(f"The circuit of this link can't be opened: {plain(str(problem))}.")
        return
    if record.kind != "circuit" or record.about.graph is None:
        del st.query_params["circuit"]
        st.error("This link leads to something that is no circuit.")
        return
    if record.deleted is not None:
        st.session_state["circuit_notice"] = (
            "This circuit was deleted; it is shown as it was. Its owner can bring it back."
        )
    _show(open_record(record))


def _show(draft: Draft) -> None:
    body = draft.body
    st.session_state["nodes"], st.session_state["edges"] = body.node_threshold, body.edge_threshold
    address = {"graph": draft.graph}
    if body.selection is not None:
        address["select"] = body.selection
    thresholds = {"nodes": (body.node_threshold, DEFAULT_NODES), "edges": (body.edge_threshold, DEFAULT_EDGES)}
    own = {name: f"{value:g}" for name, (value, default) in thresholds.items() if value != default}
    try:  # sliders that are not there yet begin with what the address says; set otherwise, they showed their defaults
        st.query_params.from_dict(address | own)
    except StreamlitAPIException:  # they are there: they follow the session, and write the address themselves
        del st.query_params["circuit"]
        st.query_params.update(address)
    st.rerun()

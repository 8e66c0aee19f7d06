"""A link of Neuronpedia's page, brought into the circuit of the graph on the screen."""

import streamlit as st
from pydantic import ValidationError

from lab import About, LabelBody
from tracer import Graph
from tracer.interchange.links import read_link
from ui.circuit_draft import Draft
from ui.session import get_lab, me


def bring_in(graph: Graph, draft: Draft, key: str) -> None:
    """What the field `key` holds; one step of undo, but for labels. Raises TracerError for what is no link."""
    text = st.session_state[key].strip()
    if not text:
        return
    link = read_link(text, graph)
    draft.bring_in(link.pins, link.supernodes)
    refused = 0
    for node, label in link.labels.items():
        try:
            get_lab().create(me(), About(graph=draft.graph, node=node), LabelBody(text=label))
        except ValidationError:
            refused += 1
    if link.node_threshold is not None:
        st.session_state["nodes"] = max(0.05, link.node_threshold)
    if link.edge_threshold is not None:
        st.session_state["edges"] = max(0.05, link.edge_threshold)
    ignored = link.ignored | ({"labels that are no single line": refused} if refused else {})
    told = f"{len(link.pins)} pins, {len(link.supernodes)} groups and {len(link.labels) - refused} labels are in"
    st.session_state["circuit_news"] = told + "".join(f"; ignored: {n} {what}" for what, n in ignored.items()) + "."
    st.session_state[key] = ""

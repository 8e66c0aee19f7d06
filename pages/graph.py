"""Graph: explore one attribution graph. Its key, selection and thresholds are in the address, or a saved circuit."""

import streamlit as st

import ui.layers  # noqa: F401
from ui.circuit_link import follow_circuit
from ui.explorer import explorer
from ui.graph_header import graph_header
from ui.job_panel import graph_is_open
from ui.recent import recent_graphs
from ui.session import get_service

service = get_service()
follow_circuit()
key = st.query_params.get("graph") or st.session_state.get("opened_graph")
graph = service.graph(key) if key else None
if key:
    graph_is_open(service, key)
if key is None or graph is None:
    st.title("Graph")
    if key:
        st.error("This graph is not in this machine's cache (any more). Trace its prompt again to get it back.")
    else:
        st.info("No graph is open. Trace a prompt, or open one of the graphs below.")
    st.page_link("pages/trace.py", label="Trace a prompt", icon=":material/timeline:")
    recent_graphs(service)
    st.stop()
if st.query_params.get("graph") != key:
    st.query_params["graph"] = key
st.session_state["opened_graph"] = key
st.session_state.pop("finished_title", None)
graph_header(graph)
explorer(service, key, graph)

"""The job that this tab asked for: its progress on the Trace page, then its graph.

The job's id is in the address, so a reload finds it again.
"""

import streamlit as st

from service import JobState, Refused, Service, TraceRequest
from ui.session import me
from ui.sidebar import job_progress, plain


def submit(service: Service, request: TraceRequest) -> None:
    """Queue the request and show its job; a refusal is shown in its place."""
    try:
        job = service.submit(request, me())
    except Refused as refusal:
        st.session_state["refused"] = str(refusal)
        return
    st.session_state.pop("refused", None)
    st.session_state.pop("finished_title", None)
    st.session_state["job"] = job.id
    st.session_state.setdefault("known_jobs", {})[job.id] = job.state
    if job.state is JobState.DONE:
        st.session_state["open_graph"] = job.key
    else:
        st.query_params["job"] = job.id


def open_finished_graph() -> None:
    """Go to the graph of a job that has ended since this tab asked for it."""
    key = st.session_state.pop("open_graph", None)
    if key:
        st.session_state.pop("job", None)
        st.switch_page("pages/graph.py", query_params={"graph": key})


def graph_is_open(service: Service, key: str) -> None:
    """The job that made the graph on the screen has been shown: the Trace page doesn't lead to it once more."""
    job = service.job(st.session_state.get("job", ""))
    if job is not None and job.key == key:
        st.session_state["shown_job"] = st.session_state.pop("job")


def job_panel(service: Service) -> None:
    if refused := st.session_state.get("refused"):
        st.error(f"Not traced: {plain(refused)}.")
    job_id = st.session_state.get("job") or st.query_params.get("job")
    if job_id:
        if st.query_params.get("job") != job_id:  # back from another page, which has no job in its address
            st.query_params["job"] = job_id
        _watch(service, job_id)


@st.fragment(run_every=0.5)
def _watch(service: Service, job_id: str) -> None:
    job = service.job(job_id)
    if job is None or job.kind != "trace":
        st.info("The job in this link is over and no longer listed. Trace the prompt again: a finished graph is kept.")
    elif not job.over:
        job_progress(service, job, where="page")
    elif job.state is JobState.DONE:
        if st.session_state.get("shown_job") != job.id:
            st.session_state["shown_job"] = job.id
            st.session_state["open_graph"] = job.key
            st.rerun()
        st.page_link("pages/graph.py", label="Open the graph", query_params={"graph": job.key})
    elif job.state is JobState.CANCELLED:
        st.info("Cancelled. Nothing was kept; trace again when you like.")
    else:
        st.error(f"The trace failed: {plain(job.error or '')}.")

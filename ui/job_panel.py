"""The job that this tab asked for: its progress on the Trace page, then its graph.

The job's id is in the address, so a reload finds it again.
"""

from functools import partial

import streamlit as st

from lab import LabError
from service import JobState, JobView, Refused, Service, TraceRequest
from service.jobs import summary_of
from ui.session import me
from ui.sidebar import job_progress, plain, sentence
from ui.told import tell


def submit(service: Service, request: TraceRequest) -> None:
    """Queue the request and show its job; a refusal is shown in its place."""
    try:
        job = service.submit(request, me())
    except Refused as refusal:
        st.session_state["refused"] = str(refusal)
    else:
        _shown(job)


def _shown(job: JobView) -> None:
    st.session_state.pop("refused", None)
    st.session_state.pop("finished_title", None)
    st.session_state["job"] = job.id
    st.session_state.setdefault("known_jobs", {})[job.id] = job.state
    if job.state is JobState.DONE:
        st.session_state["open_graph"] = job.key
    else:
        st.query_params["job"] = job.id


def cut_off(service: Service) -> None:
    """What the server was asked for and had not answered when it stopped: one click runs it again."""
    try:
        left = service.interrupted(me())
    except LabError as problem:
        st.warning(sentence(problem))
        return
    for one in left:
        with st.container(border=True, key=f"cut_off_{one.id}"):
            said, again, away = st.columns([4, 1.3, 1], vertical_alignment="center")
            said.markdown(f"**{plain(summary_of(one.asked.request))}** was not traced: the server stopped before.")
            again.button("Run again", key=f"again_{one.id}", on_click=_again, args=(service, one.id), width="stretch")
            forget = partial(service.forget_interrupted, one.id)
            away.button(
                "Remove", key=f"away_{one.id}", on_click=lambda f=forget: tell(lambda: f(me())), width="stretch"
            )


def _again(service: Service, job_id: str) -> None:
    try:
        _shown(service.run_again(job_id, me()))
    except (LabError, Refused) as problem:
        st.session_state["refused"] = str(problem)


def open_finished_graph() -> None:
    """Go to the graph of a job that has ended since this tab asked for it. A click or a timer may break this off, and
    then the job's panel asks for it again."""
    key = st.session_state.pop("open_graph", None)
    if key:
        st.switch_page("pages/graph.py", query_params={"graph": key})


def graph_is_open(service: Service, key: str) -> None:
    """The Graph page is there for what the job made: the Trace page doesn't lead to it once more."""
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
            st.session_state["job"] = job.id
            st.session_state["open_graph"] = job.key
            st.rerun()
        st.page_link("pages/graph.py", label="Open the graph", query_params={"graph": job.key})
    elif job.state is JobState.CANCELLED:
        st.info("Cancelled. Nothing was kept; trace again when you like.")
    else:
        st.error(f"The trace failed: {plain(job.error or '')}.")

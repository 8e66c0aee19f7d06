"""What runs and waits, of everybody: for admins, who may hold the queue and cancel what is in it."""

import time

import streamlit as st

from lab import Role
from service import JobState, JobView, Service
from ui.session import get_lab, me
from ui.sidebar import PHASES, plain
from ui.told import tell

KINDS = {"trace": "a trace", "run": "a hypothesis's run"}


def queue_section(service: Service) -> None:
    if me().role is Role.ADMIN:
        st.subheader("Queue")
        _queue(service)


@st.fragment(run_every=2.0)
def _queue(service: Service) -> None:
    held = service.paused
    st.toggle(
        "Hold the queue",
        held,
        key=f"hold_{held}",
        help="What runs goes on to its end; nothing more starts until you let it go.",
        on_change=tell,
        args=(lambda: service.pause(not held, me()),),
    )
    jobs = [job for job in service.jobs() if not job.over]
    if not jobs:
        st.caption("Nothing runs or waits.")
        return
    names = {one.person.id: one.person.name for one in get_lab().people(me())}
    for job in sorted(jobs, key=lambda job: job.position or 0):
        _row(service, job, names)


def _row(service: Service, job: JobView, names: dict[str, str]) -> None:
    """Without the prompt: it is the person's."""
    with st.container(key=f"queued_{job.id}"):
        said, stop = st.columns([4, 1], vertical_alignment="center")
        who = " and ".join(plain(names.get(id, "somebody")) for id in job.watchers)
        size = f" of {job.n_tokens:,} tokens" if job.kind == "trace" else ""
        said.markdown(f"**{who}**: {KINDS[job.kind]}{size}")
        said.caption(f"{_state(job)} · asked {max(0, round(time.time() - job.created)):,} s ago")
        stop.button(
            "Cancel",
            key=f"stop_{job.id}",
            disabled=job.cancel_requested,
            on_click=tell,
            args=(lambda: service.cancel_for_all(job.id, me()),),
        )


def _state(job: JobView) -> str:
    if job.state is JobState.QUEUED:
        return f"number {job.position} in the queue"
    return "stopping" if job.cancel_requested else f"{PHASES.get(job.phase, job.phase)}, {job.fraction:.0%}"

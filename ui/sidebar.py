"""What is going on, on every page: the model, the queue, one's own jobs; a toast and the tab's title when one ends."""

import streamlit as st

from service import JobState, JobView, Refused, Service
from ui.login import way
from ui.page_title import page_title
from ui.session import me

PHASES = {
    "": "waiting",
    "wait": "another process is preparing the model",
    "assemble": "joining the model's files",
    "download": "downloading the feature set",
    "check": "checking the model's files",
    "read": "reading the model (20–60 s)",
    "convert": "converting it, once",
    "load": "loading the model",
    "self-check": "checking that the engine replays it exactly",
    "record": "running the prompt",
    "encode": "finding the active features",
    "select": "choosing features",
    "sweep": "tracing direct effects",
    "baselines": "running the prompts without edits",
    "controls": "matching controls",
    "prompts": "running the edit and its controls",
}


def sidebar(service: Service, page: str) -> None:
    """`page` is the title of the page that is shown."""
    with st.sidebar:
        _status(service, page)
        _who()


def _who() -> None:
    """Where people log in."""
    came = way()
    if came == "local":
        return
    person = me()
    st.caption("YOU")
    st.markdown(f"{plain(person.name)} · {person.role}")
    if came == "provider":
        st.button("Log out", key="logout", on_click=st.logout)


@st.fragment(run_every=1.0)
def _status(service: Service, page: str) -> None:
    state = service.model_state()
    st.caption("MODEL")
    if state.state == "ready" and service.model is not None:
        st.markdown(f"**{plain(state.name)}**  \n{plain(short_features(state.features))} · {service.model.device}")
    elif state.state == "failed":
        st.error(plain(f"{state.name}: {state.error}"))
        st.button("Try again", on_click=_retry, args=(service,), key="retry_load")
    else:
        st.markdown(f"**{plain(state.name)}**")
        st.progress(state.fraction, text=PHASES.get(state.phase, state.phase))
    own = me().id
    jobs = [job for job in service.jobs() if own in job.watchers or job.id in _known()]
    active = [job for job in jobs if not job.over]
    if active:
        st.caption("JOBS")
    for job in reversed(active):
        job_progress(service, job, where="sidebar")
    _announce(jobs, page)
    page_title(_tab_title(page, active))


def short_features(features: str) -> str:
    """Of a folder or a long reference its last part."""
    return features if len(features) <= 32 else "…/" + features.rpartition("/")[2][-32:]


def job_progress(service: Service, job: JobView, where: str) -> None:
    """One job's phase, fraction, time left or place in the queue, and a button to cancel it."""
    with st.container(key=f"job_{where}_{job.id}"):
        if where == "sidebar":
            st.text(job.summary)
        if job.state is JobState.QUEUED:
            st.progress(0.0, text=f"queued, number {job.position}{_wait(service, job)}")
        else:
            left = "" if job.eta is None else f", about {max(1, round(job.eta))} s left"
            doing = "stopping" if job.cancel_requested else PHASES.get(job.phase, job.phase)
            st.progress(job.fraction, text=f"{doing}{left}")
        st.button(
            "Cancel",
            key=f"cancel_{where}_{job.id}",
            disabled=job.cancel_requested,
            on_click=_cancel,
            args=(service, job.id),
        )


def _wait(service: Service, job: JobView) -> str:
    if service.paused:
        return "; an admin holds the queue"
    return "" if job.wait is None else f", starts in about {max(1, round(job.wait))} s"


def _retry(service: Service) -> None:
    try:
        service.retry_load(me())
    except Refused as refusal:
        st.toast(sentence(refusal), icon=":material/error:")


def _cancel(service: Service, job_id: str) -> None:
    service.cancel(job_id, me())


def _known() -> dict[str, JobState]:
    """Jobs that this tab has seen, by their last state."""
    return st.session_state.setdefault("known_jobs", {})


def _announce(jobs: list[JobView], page: str) -> None:
    """Say once in this tab that a job it has seen running is over, and lead to its graph."""
    known = _known()
    quiet: set[str] = st.session_state.get("quiet_jobs", set())  # of a batch, which shows its progress itself
    for job in jobs:
        before = known.get(job.id)
        if before is not None and before != job.state and job.over and job.id not in quiet:
            if job.state is JobState.DONE:
                ready = "Graph ready" if job.kind == "trace" else "Run finished"
                st.toast(f"{ready}: {plain(job.summary)}", icon=":material/check_circle:")
                st.session_state["finished_title"] = f"✓ {ready}"
                if job.warning:
                    st.toast(plain(job.warning), icon=":material/warning:")
            elif job.state is JobState.CANCELLED and job.error:  # by somebody else
                st.toast(f"Cancelled: {plain(job.error)}", icon=":material/cancel:")
            elif job.state is JobState.FAILED:
                st.toast(f"Failed: {plain(job.error or '')}", icon=":material/error:")
                st.session_state["finished_title"] = "✗ Trace failed" if job.kind == "trace" else "✗ Run failed"
        if before is not None or not job.over:
            known[job.id] = job.state
    for job in (job for job in jobs if job.kind == "trace" and job.id not in quiet):
        if job.state is JobState.DONE and job.id in known and st.session_state.get("opened_graph") != job.key:
            _lead_to(job, page)
            break


def _lead_to(job: JobView, page: str) -> None:
    label = f"Open: {plain(job.summary)}"
    if page != "Graph":
        st.page_link("pages/graph.py", label=label, query_params={"graph": job.key})
    elif st.button(label, key=f"open_{job.id}", type="tertiary"):  # by a link to itself a page keeps the old address
        st.query_params.from_dict({"graph": job.key})
        st.rerun()


def _tab_title(page: str, active: list[JobView]) -> str:
    running = next((job for job in active if job.state is JobState.RUNNING), None)
    if running is not None:
        return f"{running.fraction:.0%} · {page} · Hypograph"
    if active:
        return f"queued · {page} · Hypograph"
    finished = st.session_state.get("finished_title")
    return f"{finished} · {page} · Hypograph" if finished else f"{page} · Hypograph"


def plain(text: str) -> str:
    """Text as it is, where Streamlit would read Markdown."""
    return "".join("\\" + c if c in "\\`*_{}[]()<>#+-.!|~:$" else c for c in text)


def sentence(text: object) -> str:
    """A refusal or other line that begins small and has no full stop, as Markdown that shows it as it is."""
    said = str(text)
    return f"{plain(said[:1].upper() + said[1:])}."

"""The bar of a guided demo, above every page while it goes on: step, caption, Back, Next, End; and the starts."""

from urllib.parse import urlencode

import streamlit as st

from service import JobState, Refused, Service
from tracer import Graph, ReplacementModel
from ui import demo
from ui.demo_steps import DEMOS, FEATURES, MODEL
from ui.loaded_model import loaded_model
from ui.session import me
from ui.sidebar import job_progress, plain

PAGES = {"graph": "pages/graph.py", "steer": "pages/steer.py"}


def demo_starts() -> None:
    """On the Trace page."""
    st.subheader("Guided demos")
    for column, shown in zip(st.columns(len(DEMOS)), DEMOS.values(), strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{plain(shown.title)}**")
            st.caption(f"{plain(shown.about)} {len(shown.steps)} steps, about three minutes.")
            st.button(
                "Start", key=f"demo_{shown.id}", on_click=demo.go, args=(shown.id, 1), icon=":material/play_arrow:"
            )


def demo_bar(service: Service, here: str) -> bool:
    """Draws the bar if a demo goes on. False while the page `here` (its address) is not to be drawn below it."""
    try:
        place = demo.current()
    except demo.NoSuchStep as problem:
        st.error(f"{plain(str(problem))}.")
        for name in ("demo", "step"):
            st.query_params.pop(name, None)
        return True
    if place is None:
        return True
    with st.container(border=True, key="demo"):
        _bar(place)
    if place.entered:
        return True
    st.title(place.demo.title)
    _lead(service, place, here)
    return False


def _bar(place: demo.Place) -> None:
    step, n = place.now, len(place.demo.steps)
    words, buttons = st.columns([7, 4], vertical_alignment="center")
    words.markdown(f"**{plain(place.demo.title)}** · step {place.step} of {n}: {plain(step.title)}")
    row = buttons.container(horizontal=True, horizontal_alignment="right", gap="small")
    row.button(
        "Back",
        key="demo_back",
        shortcut="Shift+N",
        disabled=place.step == 1,
        on_click=demo.go,
        args=(place.demo.id, place.step - 1),
    )
    row.button(
        "Next",
        key="demo_next",
        shortcut="N",
        type="primary",
        disabled=place.step == n,
        on_click=demo.go,
        args=(place.demo.id, place.step + 1),
    )
    with row.popover("Link"):
        st.caption("Opens this step for whoever uses this server.")
        st.code(f"{st.context.url}?{urlencode(place.address)}", language=None, wrap_lines=True)
    if row.button("End", key="demo_end", help="Leaves the demo. What you steered before it is there again."):
        demo.end()
        st.switch_page("pages/trace.py")
    st.markdown(step.text(step.says))
    st.markdown(f":material/rule: **What this does not show.** {step.text(step.unproven)}")


def _lead(service: Service, place: demo.Place, here: str) -> None:
    """To the step's page, once its graph is there."""
    model = loaded_model(service)
    if model is None:
        return
    if (model.name, model.basis.name) != (MODEL, FEATURES):
        st.error(
            f"This demo is about {MODEL} and its {FEATURES}; {plain(model.name)}, {plain(model.basis.name)} is loaded."
            " Its numbers of features mean nothing there."
        )
        st.page_link("pages/system.py", label="Load another model on the System page", icon=":material/memory:")
        return
    graph = _graph(service, place, model)
    if graph is None:
        return
    if strange := demo.strangers(graph, place.now.scene):
        st.error(
            f"{len(strange)} features of this demo are no nodes of the graph, {plain(strange[0])} for one: the weights"
            f" are others than those of the package that comes with Hypograph. The demo can't be shown with them."
        )
        return
    page = place.now.page
    job = service.job(place.job or "")
    assert job is not None
    address = demo.enter(place, model, job.key, graph)
    st.session_state.pop("finished_title", None)
    if here != page:
        st.switch_page(PAGES[page], query_params=address)
    for name in ("select", "run", "circuit"):
        st.query_params.pop(name, None)
    st.query_params.update(address)
    st.rerun()


def _graph(service: Service, place: demo.Place, model: ReplacementModel) -> Graph | None:
    """From the cache, or traced, with its progress on the screen."""
    job = service.job(place.job) if place.job is not None else None
    if job is None:
        try:
            job = service.submit(demo.request(model, place.now.scene), me())
        except Refused as refusal:
            st.error(f"Not traced: {plain(str(refusal))}.")
            return None
        place.job = job.id
    if job.state is JobState.DONE:
        graph = service.graph(job.key)
        if graph is not None:
            return graph
    elif not job.over:
        _watch(service, job.id)
        return None
    st.error(f"The graph of this step is not there: {plain(job.error or 'its trace was cancelled')}.")
    st.button("Trace it again", key="demo_again", on_click=demo.go, args=(place.demo.id, place.step))
    return None


@st.fragment(run_every=0.5)
def _watch(service: Service, id: str) -> None:
    job = service.job(id)
    if job is None or job.over:
        st.rerun()
    st.caption("The graph of this step is traced first; after that it is kept.")
    job_progress(service, job, where="demo")

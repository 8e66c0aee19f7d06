"""A batch that is open: its head, its progress, and the three ways to look at its graphs."""

import streamlit as st

from lab import BatchBody, LabError, Record, Role, Unreachable
from service import Service
from tracer import TracerError
from ui.batch_circuit import circuit
from ui.batch_features import features
from ui.batch_graphs import graphs
from ui.batch_source import Batch, looked_at, opened, sheets_of
from ui.batch_start import batch_start
from ui.batch_trace import progress
from ui.session import get_lab, me
from ui.sidebar import plain, sentence
from ui.told import tell, told
from ui.who_sees import who_sees

VIEWS = ["Features", "Circuit", "Graphs"]
HALF = (
    "Features are found on half of the prompts, drawn by lot (families stay together); the other half is kept to test"
    " a hypothesis on. Choose it before you look: what was seen can't be unseen."
)


def batch_page(service: Service) -> None:
    st.title("Batch")
    try:
        batch = opened(service)
    except Unreachable:
        raise  # the link is good: ui/uncaught.py says what is the matter
    except (LabError, TracerError) as problem:
        st.query_params.clear()
        st.error(sentence(problem))
        batch = None
    if batch is None:
        batch_start(service)
    else:
        try:
            _open(service, batch)
        except TracerError as problem:
            st.error(sentence(problem))


def _open(service: Service, batch: Batch) -> None:
    _head(service, batch)
    progress(service, batch)
    sheets, why = sheets_of(service, batch.keys)
    with st.container():
        _left_out(batch, why)
    if not sheets:
        if not batch.keys and batch.record is None:
            st.info("It has no graphs yet.")
        return
    made_of = sheets[0].meta
    bar = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    view = bar.segmented_control(
        "View",
        VIEWS,
        default=st.query_params.get("view") if st.query_params.get("view") in VIEWS else VIEWS[0],
        key="batch_view",
        required=True,
        label_visibility="collapsed",
    )
    half = bar.toggle("Keep half of the prompts for a test", key="batch_half", help=HALF)
    if view and st.query_params.get("view", VIEWS[0]) != view:
        st.query_params["view"] = view
    kept = looked_at(batch.items) if half else frozenset(batch.keys)
    seen = [one for one in sheets if one.id in kept]
    with st.container():
        st.caption(
            f"{len(seen):,} graph{'s' * (len(seen) != 1)}{f' of {len(sheets):,}' if half else ''} ·"
            f" {plain(str(made_of['model']))}, {plain(str(made_of['features']))}"
        )
    if not seen:
        st.info("No graph of this half is there yet.")
    elif view == "Circuit":
        circuit(service, batch, seen)
    elif view == "Graphs":
        graphs(batch, seen)
    else:
        features(batch, seen)


def _head(service: Service, batch: Batch) -> None:
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    row.button("All batches", key="batch_back", icon=":material/arrow_back:", on_click=_back)
    row.markdown(f"**{plain(batch.title)}**", width="stretch")
    with row.popover("More"):
        if batch.record is not None:
            record = batch.record
            st.caption("This link opens the batch.")
            st.code(f"{st.context.url}?batch={record.id}", language=None, wrap_lines=True)
            who_sees(record, tell, follow="Its graphs are in the Library, for the whole lab.")
            st.caption(f"Made by {plain(record.owner.name)}, {record.created.astimezone():%d %b %Y, %H:%M}.")
            if me().role is not Role.VIEWER:
                st.button("Delete the batch", key="batch_delete", on_click=_delete, args=(record,))
        elif batch.folder is not None:
            about = batch.folder.about
            st.caption(f"The folder batches/{plain(batch.folder.path.name)} of this server, seen by all who log in.")
            st.caption(f"{plain(about.model)} · {about.created.astimezone():%d %b %Y, %H:%M}")
        else:
            st.caption("A viewer's selection is this tab's alone, and has no link.")


def _delete(record: Record[BatchBody]) -> None:
    if told(lambda: get_lab().delete(record.id, me())):
        st.session_state["deleted_batch"] = (record.id, record.head.body.title)
        _back()


def _back() -> None:
    st.session_state["batch_left"] = st.session_state.get("batch_left", 0) + 1  # lists start with nothing selected
    st.query_params.clear()


def _left_out(batch: Batch, why: dict[str, str]) -> None:
    if batch.n_more:
        st.warning(f"Its first {len(batch.items):,} prompts are looked at, {batch.n_more:,} more are not.")
    if batch.folder is not None and len(batch.there) < len(batch.items):
        missing = len(batch.items) - len(batch.there) - len(batch.failed)
        waits = f"{missing:,} of its prompts are not traced yet. " if missing else ""
        fail = f"{len(batch.failed):,} failed." if batch.failed else ""
        st.caption(waits + fail)
    for key, reason in [*batch.failed.items()][:5]:
        st.caption(f"Failed: “{plain(batch.item(key).prompt[:60])}”: {plain(reason)}")
    if why:
        first = next(iter(why.items()))
        st.warning(
            f"{len(why):,} of its graphs are left out. “{plain(batch.item(first[0]).prompt[:60])}”: {plain(first[1])}."
        )

"""The Batch page without a batch: a new one from prompts, those that were saved, and batch folders of this server."""

import pandas as pd
import streamlit as st

from lab import BatchBody, LabError, Record, Role
from lab.batch import MOST_GRAPHS
from service import Service
from service.batches.folder import Folder, folders
from tracer import ReplacementModel, TracerError
from ui.batch_source import begin, made
from ui.batch_trace import asked_in_file, asked_in_lines, items_of, start
from ui.follow import follow
from ui.graph_diff import BY_KEYBOARD
from ui.session import get_lab, me
from ui.sidebar import plain, sentence
from ui.told import told
from ui.who_sees import SEEN_BY

WHEN = st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm")
MOST_ROWS = 10  # of a table that does not scroll
WAYS = ["Lines", "File"]


def batch_start(service: Service) -> None:
    st.caption(
        "Many prompts at once: which features recur in their graphs, which circuit the graphs share, which graph is"
        " unlike the others. From there to a hypothesis."
    )
    _new(service)
    _saved()
    _folders(service)


def _new(service: Service) -> None:
    st.subheader("New batch")
    model = service.model
    if model is None:
        follow(lambda: None if service.model is not None else "The model is being prepared: see the sidebar.")
        return
    with st.container(border=True):
        _form(service, model)


def _form(service: Service, model: ReplacementModel) -> None:
    way = st.segmented_control(
        "Prompts from", WAYS, default=WAYS[0], key="batch_way", required=True, label_visibility="collapsed"
    )
    file = text = None
    if way == "File":
        file = st.file_uploader(
            "CSV or JSON lines",
            type=["csv", "jsonl"],
            key="batch_file",
            max_upload_size=service.settings.import_mb,
            help="Columns or fields: prompt or tokens; if wanted target, minus, family. As `tracer batch` takes them.",
        )
    else:
        text = st.text_area(
            "A prompt a line",
            key="batch_lines",
            height=130,
            placeholder="Lionel Messi plays the sport of\nSerena Williams plays the sport of",
            help="Each ends where the model should answer.",
        )
    nodes, seen, _ = st.columns([1.5, 2, 3])
    most = nodes.number_input(
        "Nodes",
        min_value=10,
        max_value=20_000,
        value=None,
        step=100,
        key="batch_nodes",
        placeholder=f"{model.basis.default_nodes:,}",
        help="How many features a graph may have. Fewer are traced faster; a feature that is not chosen is no node.",
    )
    visibility = seen.segmented_control(
        "Who sees it",
        list(SEEN_BY),
        default="lab",
        key="batch_seen",
        format_func=SEEN_BY.__getitem__,
        required=True,
        help="This list of prompts. Their graphs are in the Library, as all graphs are.",
    )
    if visibility == "private":
        st.caption("The list alone is yours: each graph, with its prompt, is in the Library for all.")
    viewer = me().role is Role.VIEWER
    if viewer:
        st.caption("Your role here is viewer: it may look, not trace.")
    if st.button(
        "Trace them all",
        key="batch_trace",
        type="primary",
        disabled=viewer,  # else enabled, also while something is typed that the server has not seen
    ):
        try:
            asked = asked_in_lines(text or "") if file is None else asked_in_file(file.getvalue(), file.name)
            if not asked:
                raise LabError("there is no prompt: give at least one")
            if len(asked) > MOST_GRAPHS:
                raise LabError(
                    f"{len(asked):,} prompts; this page takes {MOST_GRAPHS:,}: run more with python -m tracer batch"
                )
            items = items_of(asked, model, service.settings.max_tokens, most)
            body = made(" ".join(items[0].prompt.split())[:80], items, most)
            address = begin(body, visibility or "lab")
            if again := max(len(asked), sum(bool(line.strip()) for line in (text or "").split("\n"))) - len(body.items):
                st.toast(f"{again:,} prompts were there twice: each is traced once.")
        except (LabError, TracerError) as problem:
            st.error(sentence(problem))
            return
        start(address["batch"])
        st.query_params.from_dict(address)
        st.rerun()


def _saved() -> None:
    st.subheader("Saved batches")
    if deleted := st.session_state.get("deleted_batch"):
        text, undo = st.columns([5, 1], vertical_alignment="center")
        text.caption(f"Deleted: {plain(deleted[1][:90])}")
        if undo.button("Undo", key="undo_batch") and told(lambda: get_lab().undelete(deleted[0], me())):
            del st.session_state["deleted_batch"]
            st.rerun()
    troubles: list[str] = []
    records: list[Record[BatchBody]] = get_lab().find("batch", me(), troubles=troubles)
    for trouble in troubles:
        st.error(sentence(trouble))
    if not records:
        st.caption("None yet. Trace prompts above, or select graphs in the Library and look at them together.")
        return
    table = pd.DataFrame(
        {
            "title": [record.head.body.title for record in records],
            "prompts": [len(record.head.body.items) for record in records],
            "by": [record.owner.name for record in records],
            "made": [record.created.astimezone().replace(tzinfo=None) for record in records],
        }
    )
    if (row := _chosen(table, "saved batches")) is not None:
        st.query_params.from_dict({"batch": records[row].id})
        st.rerun()


def _folders(service: Service) -> None:
    unread: list[str] = []
    found: list[Folder] = folders(service.settings.home, unread)
    if not found and not unread:
        return
    st.subheader("Batch folders", help="What python -m tracer batch left in the folder batches of this server's home.")
    for trouble in unread:
        st.warning(sentence(trouble))
    if not found:
        return
    table = pd.DataFrame(
        {
            "title": [folder.about.title for folder in found],
            "folder": [folder.path.name for folder in found],
            "model": [folder.about.model for folder in found],
            "made": [folder.about.created.astimezone().replace(tzinfo=None) for folder in found],
        }
    )
    if (row := _chosen(table, "batch folders")) is not None:
        st.query_params.from_dict({"folder": found[row].path.name})
        st.rerun()


def _chosen(table: pd.DataFrame, what: str) -> int | None:
    """The row that is selected: it is opened at once."""
    event = st.dataframe(
        table,
        key=f"batch_list_{what}_{len(table)}_{st.session_state.get('batch_left', 0)}",
        hide_index=True,
        height="content" if len(table) <= MOST_ROWS else 420,
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{what}, the latest first",
        column_config={"made": WHEN},
    )
    st.caption(f"Select a row to open it. {BY_KEYBOARD}")
    rows = event["selection"]["rows"]
    return int(rows[0]) if rows and rows[0] < len(table) else None

"""The Library: all graphs and circuits of this server, searched, opened, deleted with undo; and files brought in."""

import hashlib
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from cache import Entry
from lab import CircuitBody, LabError, Record
from service import Service
from tracer import TracerError
from tracer.errors import first_fault
from tracer.interchange import Report, load
from ui.circuit_draft import draft_of
from ui.session import get_lab, me
from ui.sidebar import plain

MOST_GRAPHS = 2_000
WHEN = st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm")
MEGABYTES = st.column_config.NumberColumn(format="%.1f", width=60)
KEPT = st.column_config.CheckboxColumn(help="Else its prompt is to be traced again first.")


def library(service: Service) -> None:
    search = st.text_input(
        "Search",
        key="library_search",
        live="250ms",
        placeholder="prompt, token, model, title, note or author",
        icon=":material/search:",
        autocomplete="off",
    )
    words = (search or "").lower().split()
    graphs, circuits, files = st.tabs(["Graphs", "Circuits", "Import"])
    with graphs:
        _graphs(service, words)
    with circuits:
        _circuits(service, words)
    with files:
        _import(service)


def _chosen(table: pd.DataFrame, what: str, words: list[str], columns: dict[str, Any]) -> int | None:
    """The row that is selected, if one is."""
    event = st.dataframe(
        table,
        key=f"library_{what}_{len(table)}_{' '.join(words)}",
        hide_index=True,
        height=min(420, 38 + 35 * len(table)),
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{what}, the latest first",
        column_config=columns,
    )
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(table):
        return int(rows[0])
    st.caption("Select a row to open or delete it.")
    return None


def _matches(words: list[str], *texts: object) -> bool:
    whole = " ".join(map(str, texts)).lower()
    return all(word in whole for word in words)


def _graphs(service: Service, words: list[str]) -> None:
    entries = [entry for entry in service.cache.recent(MOST_GRAPHS) if _graph_matches(words, entry)]
    total = len(service.cache)
    st.caption(
        f"{len(entries):,} of {total:,} graphs · {service.cache.volume() / 1e6:,.0f} MB of"
        f" {service.settings.cache_gb:g} GB; the least recently used go first."
    )
    _undo_graph(service)
    if not entries:
        st.info("No graph fits the search." if words else "No graphs yet: trace a prompt, or import a file.")
        return
    table = pd.DataFrame(
        {
            "prompt": [str(entry.meta.get("prompt", "")) for entry in entries],
            "explains": [", ".join(map(str, entry.meta.get("explains", [])[:3])) for entry in entries],
            "model": [str(entry.meta.get("model")) for entry in entries],
            "features": [str(entry.meta.get("features")) for entry in entries],
            "traced": [datetime.fromtimestamp(entry.stored) for entry in entries],
            "MB": [entry.size / 1e6 for entry in entries],
        }
    )
    chosen = _chosen(table, "graphs", words, {"traced": WHEN, "MB": MEGABYTES})
    if chosen is None:
        return
    entry = entries[chosen]
    open_, delete, _ = st.columns([1, 1, 4])
    open_.page_link(
        "pages/graph.py", label="Open", icon=":material/hub:", query_params={"graph": entry.key}, width="stretch"
    )
    delete.button("Delete", key="delete_graph", on_click=_forget, args=(service, entry), width="stretch")


def _graph_matches(words: list[str], entry: Entry) -> bool:
    meta = entry.meta
    return _matches(words, meta.get("prompt"), meta.get("tokens"), meta.get("explains"), meta.get("model"))


def _forget(service: Service, entry: Entry) -> None:
    graph = service.forget_graph(entry.key)
    if graph is not None:
        st.session_state["forgotten_graph"] = (entry.key, graph)


def _undo_graph(service: Service) -> None:
    if forgotten := st.session_state.get("forgotten_graph"):
        key, graph = forgotten
        text, undo = st.columns([5, 1], vertical_alignment="center")
        text.caption(f"Deleted: {plain(str(graph.meta.get('prompt', ''))[:90])}")
        if undo.button("Undo", key="undo_graph", width="stretch"):
            service.keep_graph(key, graph)
            del st.session_state["forgotten_graph"]
            st.rerun()


def _circuits(service: Service, words: list[str]) -> None:
    found: list[Record[CircuitBody]] = get_lab().find("circuit", me())
    circuits = [record for record in found if _circuit_matches(words, record)]
    _undo_circuit()
    if not circuits:
        st.info(
            "No circuit fits the search." if words else "No circuits yet: pin nodes on a graph, and save the circuit."
        )
        return
    table = pd.DataFrame(
        {
            "title": [record.head.body.title for record in circuits],
            "prompt": [record.head.body.prompt for record in circuits],
            "pinned": [len(record.head.body.pins) for record in circuits],
            "groups": [len(record.head.body.groups) for record in circuits],
            "by": [record.head.author for record in circuits],
            "saved": [record.head.created.astimezone().replace(tzinfo=None) for record in circuits],
            "version": [record.head.number for record in circuits],
            "graph kept": [(record.about.graph or "") in service.cache for record in circuits],
        }
    )
    chosen = _chosen(table, "circuits", words, {"saved": WHEN, "graph kept": KEPT})
    if chosen is None:
        return
    record = circuits[chosen]
    open_, delete, _ = st.columns([1, 1, 4])
    open_.page_link(
        "pages/graph.py", label="Open", icon=":material/hub:", query_params={"circuit": record.id}, width="stretch"
    )
    delete.button("Delete", key="delete_circuit", on_click=_delete_circuit, args=(record,), width="stretch")


def _circuit_matches(words: list[str], record: Record[CircuitBody]) -> bool:
    body = record.head.body
    groups = [group.name for group in body.groups]
    when = record.head.created.astimezone().strftime("%Y-%m-%d %d %b %Y")
    return _matches(words, body.title, body.prompt, body.notes, groups, record.owner.name, record.head.author, when)


def _delete_circuit(record: Record[CircuitBody]) -> None:
    try:
        get_lab().delete(record.id, me())
        st.session_state["deleted_in_library"] = (record.id, record.head.body.title)
    except LabError as problem:
        st.session_state["library_problem"] = str(problem)


def _undo_circuit() -> None:
    if problem := st.session_state.pop("library_problem", None):
        st.error(plain(problem))
    if deleted := st.session_state.get("deleted_in_library"):
        text, undo = st.columns([5, 1], vertical_alignment="center")
        text.caption(f"Deleted: {plain(deleted[1][:90])}")
        if undo.button("Undo", key="undo_circuit", width="stretch"):
            get_lab().undelete(deleted[0], me())
            del st.session_state["deleted_in_library"]
            st.rerun()


def _import(service: Service) -> None:
    st.caption(
        "A graph of Neuronpedia or of circuit-tracer's page (JSON), or circuit-tracer's `.pt`. Reading a file runs"
        " nothing that is in it."
    )
    file = st.file_uploader("File", type=["json", "pt"], key="import_file", label_visibility="collapsed")
    if file is None:
        return
    data = file.getvalue()
    key = hashlib.sha256(data).hexdigest()
    if st.session_state.get("imported", (None, None))[0] != key:  # not read again at each rerun
        try:
            st.session_state["imported"] = (key, _imported(service, key, data, Path(file.name).suffix.lower()))
        except TracerError as problem:
            st.error(f"Not imported: {plain(str(problem))}.")
            return
    report: Report = st.session_state["imported"][1]
    for what, count in report.ignored.items():
        st.caption(f"Ignored: {count:,} {plain(what)}")
    st.success(f"Imported, with {len(report.pins):,} pins, {len(report.supernodes):,} groups.")
    st.page_link("pages/graph.py", label="Open the graph", icon=":material/hub:", query_params={"graph": key})


def _imported(service: Service, key: str, data: bytes, suffix: str) -> Report:
    """The graph is kept under `key`; pins and groups go into this tab's draft. Returns what else was in the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"upload{suffix}")
        path.write_bytes(data)
        try:
            graph, report = load(path)
        except TracerError as problem:
            raise TracerError(str(problem).replace(str(path), "the file")) from problem
    if service.graph(key) is None:
        service.keep_graph(key, graph)
    try:
        draft_of(key, str(graph.meta.get("prompt", ""))).bring_in(report.pins, report.supernodes)
    except ValidationError as problem:
        report.ignored[f"pins and groups that make no circuit ({first_fault(problem)})"] = 1
    return report

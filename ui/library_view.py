"""The Library: all graphs and circuits of this server, searched, opened, deleted with undo; and files brought in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from cache import Entry
from lab import CircuitBody, LabError, Record
from lab.batch import MOST_GRAPHS as MOST_TOGETHER
from service import Service
from tracer import Graph
from tracer.graph.prune import Pruned
from ui.batch_source import begin, of_entries
from ui.circuit_draft import draft_of
from ui.explorer import DEFAULT_EDGES, DEFAULT_NODES
from ui.export_menu import export_menu
from ui.graph_diff import BY_KEYBOARD, graph_diff
from ui.library_import import import_graphs
from ui.library_search import Labels, circuit_matches, find_graphs, labels_with, words_of
from ui.session import get_lab, me
from ui.sidebar import plain
from ui.told import told

MOST_GRAPHS = 2_000
MOST_ROWS = 10  # of a table that does not scroll
WHEN = st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm")
MEGABYTES = st.column_config.NumberColumn(format="%.1f", width=60)
KEPT = st.column_config.CheckboxColumn(help="Else its prompt is to be traced again first.")


def library(service: Service) -> None:
    search = st.text_input(
        "Search",
        key="library_search",
        live="250ms",
        placeholder="prompt, token, label, model, title, note, author or date",
        icon=":material/search:",
        autocomplete="off",
    )
    words = words_of(search)
    labels = labels_with(words)
    entries = service.cache.recent(MOST_GRAPHS)
    graphs, circuits, files = st.tabs(["Graphs", "Circuits", "Import"])
    with graphs:
        _graphs(service, entries, words, labels)
    with circuits:
        _circuits(service, {entry.key: entry for entry in entries}, words, labels)
    with files:
        import_graphs(service)


def comparison(service: Service, left: str, right: str) -> None:
    """In place of the lists, as the address says."""
    back, swap, _ = st.columns([2, 2, 6])
    back.button("Back to the Library", key="to_library", icon=":material/arrow_back:", on_click=_go, width="stretch")
    swap.button(
        "Swap the sides",
        key="swap",
        icon=":material/swap_horiz:",
        on_click=_go,
        kwargs={"left": right, "right": left},
        width="stretch",
    )
    graph_diff(service, left, right)


def _go(**query: str) -> None:
    """To another address of this page: a link to the page that one is on leaves the address as it was."""
    st.query_params.from_dict(query)


def _chosen(
    table: pd.DataFrame, what: str, words: Sequence[str], columns: dict[str, Any], *, several: bool
) -> list[int]:
    """The rows that are selected."""
    event = st.dataframe(
        table,
        key=f"library_{what}_{len(table)}_{' '.join(words)}",
        hide_index=True,
        height="content" if len(table) <= MOST_ROWS else 420,
        on_select="rerun",
        selection_mode="multi-row" if several else "single-row",
        alt=f"{what}, the latest first",
        column_config=columns,
    )
    return [int(row) for row in event["selection"]["rows"] if row < len(table)]


def _graphs(service: Service, entries: Sequence[Entry], words: Sequence[str], labels: Labels) -> None:
    found = find_graphs(service, entries, words, labels)
    total = len(service.cache)
    st.caption(
        f"{len(found):,} of {total:,} graphs · {service.cache.volume() / 1e6:,.0f} MB of"
        f" {service.settings.cache_gb:g} GB; the least recently used go first."
    )
    _undo_graph(service)
    if not found:
        st.info("No graph fits the search." if words else "No graphs yet: trace a prompt, or import a file.")
        return
    table = pd.DataFrame(
        {
            "prompt": [str(entry.meta.get("prompt", "")) for entry in found],
            "explains": [", ".join(map(str, entry.meta.get("explains", [])[:3])) for entry in found],
            "model": [str(entry.meta.get("model")) for entry in found],
            "features": [str(entry.meta.get("features")) for entry in found],
            "traced": [datetime.fromtimestamp(entry.stored) for entry in found],
            "MB": [entry.size / 1e6 for entry in found],
        }
    )
    rows = _chosen(table, "graphs", words, {"traced": WHEN, "MB": MEGABYTES}, several=True)
    if len(rows) == 1:
        _one_graph(service, found[rows[0]])
    elif len(rows) == 2:
        left, right = (found[row].key for row in rows)
        st.button(
            "Compare the two graphs",
            key="compare",
            icon=":material/compare_arrows:",
            on_click=_go,
            kwargs={"left": left, "right": right},
        )
    elif not rows:
        st.caption(f"Select a row to open or delete it, two to compare them, more to see what recurs. {BY_KEYBOARD}")
    together = [found[row] for row in rows] if len(rows) > 1 else found[:MOST_TOGETHER] if words else []
    if len(together) > 1:
        _together(together)


def _together(entries: Sequence[Entry]) -> None:
    """To the Batch page, with these."""
    if st.button(
        f"Look at these {len(entries):,} together",
        key="together",
        icon=":material/dataset:",
        help="As a batch: which features recur in them, which circuit they share, which one is unlike the others.",
    ):
        address: dict[str, str] = {}
        if told(lambda: address.update(begin(of_entries(entries)))):
            st.switch_page("pages/batch.py", query_params=address)


def _one_graph(service: Service, entry: Entry) -> None:
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    row.page_link(
        "pages/graph.py", label="Open", icon=":material/hub:", query_params={"graph": entry.key}, width="content"
    )
    row.button("Delete", key="delete_graph", on_click=_forget, args=(service, entry))
    graph = service.graph(entry.key)
    if graph is not None:
        body = draft_of(entry.key, str(entry.meta.get("prompt", ""))).body
        with row:
            _export(entry.key, graph, body, (DEFAULT_NODES, DEFAULT_EDGES), place="_graphs")


def _export(key: str, graph: Graph, body: CircuitBody, thresholds: tuple[float, float], place: str) -> None:
    export_menu(key, graph, _pruned(key, graph, *thresholds), body, thresholds, place=place)


@st.cache_resource(max_entries=4, show_spinner=False)
def _pruned(key: str, _graph: Graph, node_threshold: float, edge_threshold: float) -> Pruned:
    return _graph.prune(node_threshold, edge_threshold)


def _forget(service: Service, entry: Entry) -> None:
    def forget() -> None:
        if (graph := service.forget_graph(entry.key, me())) is not None:
            st.session_state["forgotten_graph"] = (entry.key, graph)

    told(forget)


def _undo_graph(service: Service) -> None:
    if forgotten := st.session_state.get("forgotten_graph"):
        key, graph = forgotten
        text, undo = st.columns([5, 1], vertical_alignment="center")
        text.caption(f"Deleted: {plain(str(graph.meta.get('prompt', ''))[:90])}")
        again = undo.button("Undo", key="undo_graph", width="stretch")
        if again and told(lambda: service.keep_graph(key, graph, me(), again=True)):
            del st.session_state["forgotten_graph"]
            st.rerun()


def _circuits(service: Service, entries: Mapping[str, Entry], words: Sequence[str], labels: Labels) -> None:
    """`entries`: the graphs that are kept, by key."""
    found: list[Record[CircuitBody]] = get_lab().find("circuit", me())
    circuits = [
        record for record in found if circuit_matches(words, record, labels, entries.get(record.about.graph or ""))
    ]
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
    rows = _chosen(table, "circuits", words, {"saved": WHEN, "graph kept": KEPT}, several=False)
    if not rows:
        st.caption(f"Select a row to open or delete it. {BY_KEYBOARD}")
        return
    record = circuits[rows[0]]
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    row.page_link(
        "pages/graph.py", label="Open", icon=":material/hub:", query_params={"circuit": record.id}, width="content"
    )
    row.page_link(
        "pages/hypotheses.py",
        label="Make this a hypothesis",
        icon=":material/experiment:",
        query_params={"write": "new", "circuit": record.id},
        width="content",
        disabled=(record.about.graph or "") not in service.cache,
    )
    row.button("Delete", key="delete_circuit", on_click=_delete_circuit, args=(record,))
    graph = service.graph(record.about.graph or "")
    if graph is not None:
        body = record.head.body
        with row:
            _export(record.about.graph or "", graph, body, (body.node_threshold, body.edge_threshold), "_circuits")


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

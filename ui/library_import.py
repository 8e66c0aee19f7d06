"""Graphs of other programs, brought into the Library: a file, or the text of one. Everything in them is anybody's."""

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

import streamlit as st
from pydantic import ValidationError

from lab import About, LabelBody, LabError
from service import Refused, Service
from tracer import TracerError
from tracer.errors import first_fault
from tracer.interchange import Report, load
from ui.circuit_draft import draft_of
from ui.session import get_lab, me
from ui.sidebar import plain

MOST_SHOWN_WHOLE = 2_000
"""Nodes of a graph that is opened without pruning it again."""

MOST_LABELS = 1_000
"""Of one file, taken into the record at once."""


def import_graphs(service: Service) -> None:
    settings = service.settings
    st.caption(
        "A graph of Neuronpedia or of circuit-tracer's page (JSON), or circuit-tracer's `.pt`. Reading a file runs"
        f" nothing that is in it. At most {settings.import_mb:,} MB, {settings.import_nodes:,} nodes and"
        f" {settings.import_edges:,} edges."
    )
    file = st.file_uploader(
        "File",
        type=["json", "pt"],
        key="import_file",
        label_visibility="collapsed",
        max_upload_size=settings.import_mb,
    )
    with st.form("import_text_form", border=False):
        text = st.text_area("Or the text of a JSON file", key="import_text", height=110, placeholder='{"metadata": …')
        pasted = st.form_submit_button("Import the text")
    if file is not None:
        data, suffix = file.getvalue(), Path(file.name).suffix.lower()
    elif text:
        data, suffix = text.encode("utf-8", "replace"), ".json"
    else:
        return
    key = hashlib.sha256(data).hexdigest()
    if st.session_state.get("imported", (None, None))[0] != key:  # not read again at each rerun
        if file is None and not pasted:
            return
        st.session_state.pop("imported", None)
        try:
            st.session_state["imported"] = (key, _imported(service, key, data, suffix))
        except (Refused, TracerError) as problem:
            st.error(f"Not imported: {plain(str(problem))}.")
            return
    report: Report = st.session_state["imported"][1]
    for what, count in report.ignored.items():
        st.caption(f"Ignored: {count:,} {plain(what)}")
    st.success(
        f"Imported, with {len(report.pins):,} pins, {len(report.supernodes):,} groups, {len(report.labels):,} labels."
    )
    st.page_link("pages/graph.py", label="Open the graph", icon=":material/hub:", query_params=_opening(service, key))
    _take_labels(key, report)


def _opening(service: Service, key: str) -> dict[str, str]:
    """Such JSON was pruned by who wrote it: it opens as it is, unless it is too large to be read so."""
    graph = service.graph(key)
    pruned = graph is not None and graph.meta["imported"]["format"] == "neuronpedia"
    if graph is None or not pruned or graph.layout.first_bias > MOST_SHOWN_WHOLE:
        return {"graph": key}
    return {"graph": key, "nodes": "1", "edges": "1"}


def _imported(service: Service, key: str, data: bytes, suffix: str) -> Report:
    """The graph is kept under `key`; pins and groups go into this tab's draft. Returns what else was in the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"upload{suffix}")
        path.write_bytes(data)
        try:
            graph, report = load(path, service.settings.import_limits)
        except TracerError as problem:
            raise TracerError(str(problem).replace(str(path), "the file")) from problem
    if service.graph(key) is None:
        service.keep_graph(key, graph, me())
    try:
        draft_of(key, str(graph.meta.get("prompt", ""))).bring_in(report.pins, report.supernodes)
    except ValidationError as problem:
        report.ignored[f"pins and groups that make no circuit ({first_fault(problem)})"] = 1
    return report


def _take_labels(key: str, report: Report) -> None:
    """Labels are people's words: those of a file become the lab's only when somebody says so."""
    news, taken = st.session_state.get("import_labels", {}).get(key, ("", []))
    if news:
        text, undo = st.columns([5, 1], vertical_alignment="center")
        text.caption(news)
        if taken:
            undo.button("Undo", key="undo_labels", on_click=_forget_labels, args=(key, taken), width="stretch")
    elif report.labels:
        st.button(
            f"Take its {len(report.labels):,} labels into this lab",
            key="take_labels",
            help="As labels of these nodes in this graph, under your name.",
            on_click=_keep_labels,
            args=(key, report.labels),
        )


def _keep_labels(key: str, labels: dict[str, str]) -> None:
    """Where the lab has said nothing yet, MOST_LABELS at once."""
    lab, viewer = get_lab(), me()
    known = {record.about.node for record in lab.find("label", viewer, About(graph=key))}
    taken, refused = [], 0
    for node, text in [item for item in labels.items() if item[0] not in known][:MOST_LABELS]:
        try:
            taken.append(lab.create(viewer, About(graph=key, node=node), LabelBody(text=" ".join(text.split()))).id)
        except ValidationError:
            refused += 1
    left = len(labels) - len(taken) - refused
    news = f"{len(taken):,} labels taken" + "".join(
        f"; {n:,} {why}" for n, why in ((refused, "were no label"), (left, "left out")) if n
    )
    st.session_state.setdefault("import_labels", {})[key] = (news, taken)


def _forget_labels(key: str, taken: list[str]) -> None:
    for id in taken:
        with suppress(LabError):  # somebody may have been faster
            get_lab().delete(id, me())
    del st.session_state["import_labels"][key]

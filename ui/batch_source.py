"""Graphs that are looked at together, wherever they are: those of a saved batch, of a batch folder, of this tab alone.

What is computed from a graph is kept by its key, so a page's reruns read no graph again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from pydantic import ValidationError

from cache import Entry
from lab import About, BatchBody, BatchItem, LabError, Record, Role
from lab.batch import MOST_GRAPHS
from service import Service
from service.batches.folder import Folder, folders
from tracer import Graph, TracerError
from tracer.errors import first_fault
from tracer.graph.aggregate import Sheet, outliers, recurring, sheet, table_of_graphs
from tracer.graph.consensus import Consensus, consensus
from ui.session import get_lab, me

UNSAVED = "unsaved"  # in the address: what this tab alone has


@dataclass(frozen=True)
class Batch:
    title: str
    items: tuple[BatchItem, ...]
    address: dict[str, str]
    there: frozenset[str]  # keys of the graphs that are kept
    record: Record[BatchBody] | None = None
    folder: Folder | None = None
    failed: dict[str, str] = field(default_factory=dict)  # why, by key
    n_more: int = 0  # prompts of a folder that are not looked at, as they are too many

    @property
    def keys(self) -> list[str]:
        return [item.key for item in self.items if item.key in self.there]

    def item(self, key: str) -> BatchItem:
        return next(item for item in self.items if item.key == key)


def opened(service: Service) -> Batch | None:
    """What the address leads to; None where it leads nowhere. Raises LabError, TracerError."""
    if id := st.query_params.get("batch"):
        return of_tab(service) if id == UNSAVED else of_record(service, id)
    if name := st.query_params.get("folder"):
        return of_folder(service, name)
    return None


def of_record(service: Service, id: str) -> Batch:
    record: Record[BatchBody] = get_lab().get(id, me())
    if record.kind != "batch":
        raise LabError("this link leads to something that is no batch: open one from the list")
    if record.deleted is not None:
        if record.owner.id != me().id:
            raise LabError("this batch was deleted: its owner can bring it back by this link")
        st.session_state["deleted_batch"] = record.id, record.head.body.title
        raise LabError("this batch was deleted: Undo, in the list below, brings it back")
    body = record.head.body
    return Batch(body.title, body.items, {"batch": id}, _kept(service, body), record)


def of_tab(service: Service) -> Batch:
    body: BatchBody | None = st.session_state.get("batch_unsaved")
    if body is None:
        raise LabError("this selection was not saved, and the tab that had it is gone: select the graphs again")
    return Batch(body.title, body.items, {"batch": UNSAVED}, _kept(service, body))


def of_folder(service: Service, name: str) -> Batch:
    found = next((folder for folder in folders(service.settings.home) if folder.path.name == name), None)
    if found is None:
        raise LabError("there is no such batch folder on this server (any more)")
    changed = tuple(_changed(found.path / name) for name in ("results", "items.jsonl"))
    items, there, failed, n_more = _read(str(found.path), changed, found)
    return Batch(found.about.title, items, {"folder": name}, there, folder=found, failed=failed, n_more=n_more)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=8, show_spinner="Reading the batch folder…")
def _read(
    path: str, changed: tuple[int, ...], _folder: Folder
) -> tuple[tuple[BatchItem, ...], frozenset[str], dict[str, str], int]:
    """Again whenever a result or a prompt came; of one key the first prompt."""
    once = {item.key: item for item in reversed(_folder.items)}
    first = sorted(once.values(), key=lambda item: item.row)[:MOST_GRAPHS]
    outcomes = {item.key: _folder.outcome(item.key) for item in first}
    items = tuple(
        BatchItem.model_construct(
            key=item.key,
            prompt=item.text,
            tokens=item.tokens or (),
            target=item.target if isinstance(item.target, str) else None,
            competitor=item.minus if isinstance(item.minus, str) else None,
            family=item.family,
        )
        for item in first
    )
    there = frozenset(key for key, outcome in outcomes.items() if outcome is not None and outcome.status == "done")
    failed = {key: o.error or "" for key, o in outcomes.items() if o is not None and o.status == "failed"}
    return items, there, failed, len(once) - len(first)


def _kept(service: Service, body: BatchBody) -> frozenset[str]:
    return frozenset(item.key for item in body.items if item.key in service.cache)


# What makes a batch ---------------------------------------------------------------------------------------------------


def of_entries(entries: Sequence[Entry]) -> BatchBody:
    """Of cached graphs. Raises LabError."""
    prompts = [str(entry.meta.get("prompt", "")).replace("\0", "")[:20_000] for entry in entries]
    items = [BatchItem(key=entry.key, prompt=prompt) for entry, prompt in zip(entries, prompts, strict=True)]
    return made(" ".join(prompts[0].split())[:80] if prompts else "", items)


def made(title: str, items: Sequence[BatchItem], max_nodes: int | None = None) -> BatchBody:
    """Raises LabError for what is none."""
    try:
        more = f" and {len(items) - 1} more" if len(items) > 1 else ""
        once = tuple({item.key: item for item in items}.values())
        return BatchBody(title=f"{title or 'Graphs'}{more}", items=once, max_nodes=max_nodes)
    except ValidationError as problem:
        raise LabError(first_fault(problem)) from problem


def begin(body: BatchBody, visibility: str = "lab") -> dict[str, str]:
    """Saves it, and says where it is; a viewer's is this tab's alone. Raises LabError."""
    person = me()
    if person.role is Role.VIEWER:
        st.session_state["batch_unsaved"] = body
        return {"batch": UNSAVED}
    return {"batch": get_lab().create(person, About(), body, visibility).id}


# What is computed -----------------------------------------------------------------------------------------------------


def sheets_of(service: Service, keys: Sequence[str]) -> tuple[list[Sheet], dict[str, str]]:
    """Of graphs of one model and feature set, that of most of them; and why each of the others is left out, by key."""
    found, why = [], {}
    bar = st.empty()
    for i, key in enumerate(keys):
        if i % 20 == 19:
            bar.progress(i / len(keys), text=f"reading graph {i + 1} of {len(keys)}")
        try:
            found.append(_sheet(key, service))
        except TracerError as problem:
            why[key] = str(problem)
    bar.empty()
    made_of = Counter(tuple(one.meta.items()) for one in found)
    usual = made_of.most_common(1)[0][0] if found else ()
    for one in found:
        if tuple(one.meta.items()) != usual:
            why[one.id] = f"it is of another model or feature set ({one.meta['model']}, {one.meta['features']})"
    return [one for one in found if one.id not in why], why


@st.cache_resource(max_entries=5_000, show_spinner=False)
def _sheet(key: str, _service: Service) -> Sheet:
    """Raises TracerError."""
    graph = _service.graph(key)
    if graph is None:
        raise TracerError("its file can't be read any more: trace the prompt again")
    return sheet(key, graph)


@st.cache_resource(max_entries=32, show_spinner="Comparing the graphs…")
def recurring_of(keys: tuple[str, ...], least: float, _sheets: Sequence[Sheet]) -> pd.DataFrame:
    return recurring(_sheets, least)


@st.cache_resource(max_entries=32, show_spinner="Comparing the graphs…")
def graphs_of(keys: tuple[str, ...], _sheets: Sequence[Sheet]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`table_of_graphs` and its `outliers`."""
    table = table_of_graphs(_sheets)
    return table, outliers(table)


@st.cache_resource(max_entries=32, show_spinner="Reading the edges of each graph…")
def consensus_of(keys: tuple[str, ...], features: tuple[tuple[int, int], ...], _service: Service) -> Consensus:
    graphs = (_service.graph(key) for key in keys)
    return consensus((graph for graph in graphs if isinstance(graph, Graph)), features)


def looked_at(items: Sequence[BatchItem]) -> frozenset[str]:
    """The keys of half of the prompts, drawn by lot but the same each time; families stay together."""
    units = list(dict.fromkeys(item.family or item.key for item in items))
    drawn = np.random.default_rng(len(units)).permutation(len(units))[: -(-len(units) // 2)]
    chosen = {units[i] for i in drawn}
    return frozenset(item.key for item in items if (item.family or item.key) in chosen)

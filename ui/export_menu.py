"""Files of the graph on the screen: JSON for Neuronpedia and circuit-tracer's page, .pt, tables; made when asked.

All say which model made the graph and under which terms; none holds an e-mail address, unless that is ticked.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from lab import CircuitBody
from tracer import Graph
from tracer.graph.layout import KINDS
from tracer.graph.prune import Pruned
from tracer.interchange import circuit_tracer, neuronpedia
from tracer.interchange.naming import public_name
from tracer.interchange.persons import LEFT_OUT, without_addresses
from tracer.presets import licence_of, notice_of
from ui.feature_label import labels_of
from ui.node_words import short_name
from ui.session import me
from ui.sidebar import plain
from ui.upload_form import upload_form


def export_menu(
    key: str, graph: Graph, pruned: Pruned, body: CircuitBody, thresholds: tuple[float, float], *, place: str = ""
) -> None:
    """`place` tells two menus on one page apart."""
    name = f"hypograph-{key[:8]}"
    with st.popover("Export"):
        addresses = st.checkbox(
            "With e-mail addresses",
            key=f"export_addresses{place}",
            help="Else those in your name, in labels and in names of groups are left out. The prompt stays as it is.",
        )

        def text(slug: str = name, scan: str | None = None, source_set: str | None = None) -> bytes:
            labels = labels_of(key, graph)
            return as_json(
                slug,
                graph,
                pruned,
                body,
                thresholds,
                labels=labels,
                creator=me().name,
                addresses=addresses,
                scan=scan,
                source_set=source_set,
            )

        st.download_button(
            "JSON: Neuronpedia, circuit-tracer's page",
            data=text,
            file_name=f"{name}.json",
            mime="application/json",
            help=f"Pruned at {thresholds[0]:g} and {thresholds[1]:g}, with labels, pins, groups, the model's terms.",
            key=f"export_json{place}",
            on_click="ignore",
            width="stretch",
        )
        st.download_button(
            "PyTorch: circuit-tracer's .pt, everything",
            data=lambda: as_pt(f"{name}.pt", graph),
            file_name=f"{name}.pt",
            mime="application/octet-stream",
            key=f"export_pt{place}",
            on_click="ignore",
            width="stretch",
        )
        for what, table in (("nodes", node_table), ("edges", edge_table)):
            st.download_button(
                f"CSV: {what} as pruned here",
                data=partial(_csv, table, key, graph, pruned, addresses),
                file_name=f"{name}-{what}.csv",
                mime="text/csv",
                key=f"export_{what}{place}",
                on_click="ignore",
                width="stretch",
            )
        st.caption(plain(f"Model {public_name(graph.meta['model'])}: {licence_of(graph.meta) or 'terms unknown'}."))
        upload_form(name, graph, text, place)


def as_json(
    slug: str,
    graph: Graph,
    pruned: Pruned,
    body: CircuitBody,
    thresholds: tuple[float, float],
    *,
    labels: dict[str, str],
    creator: str | None = None,
    addresses: bool = False,
    scan: str | None = None,
    source_set: str | None = None,
) -> bytes:
    """Pins and groups go along as far as these thresholds show them: the format knows no others.

    `labels` by node id. Without `addresses`, e-mail addresses are left out of them, of the groups' names and of the
    creator's.
    """
    clean: Callable[[str], str] = str if addresses else without_addresses
    shown = {id for id in body.pins if id in graph.index and pruned.node_mask[graph.index[id]]}
    groups = [(clean(group.name), [node for node in group.nodes if node in shown]) for group in body.groups]
    by = None if creator is None else clean(creator)
    return _written(
        "graph.json",
        lambda path: neuronpedia.save(
            graph,
            path,
            slug,
            scan=scan,
            node_threshold=thresholds[0],
            edge_threshold=thresholds[1],
            pins=[pin for pin in body.pins if pin in shown],
            supernodes=[(name, nodes) for name, nodes in groups if nodes],
            source_set=source_set,
            licence=licence_of(graph.meta),
            notice=notice_of(graph.meta),
            labels={node: clean(label) for node, label in labels.items()},
            creator=None if by == LEFT_OUT else by,
        ),
    )


def as_pt(name: str, graph: Graph) -> bytes:
    """The whole graph, with model and terms in a text beside it."""
    model, terms = public_name(graph.meta["model"]), licence_of(graph.meta) or "terms unknown"
    notice = f"Model {model}: {terms}. {notice_of(graph.meta) or ''}".strip()
    return _written(name, lambda path: circuit_tracer.save(graph, path, notice=notice))


def node_table(graph: Graph, pruned: Pruned, labels: dict[str, str]) -> pd.DataFrame:
    """`labels` by node id."""
    kept, layout = pruned.node_mask.nonzero()[0], graph.layout
    return pd.DataFrame(
        {
            "id": [graph.ids[i] for i in kept],
            "name": [short_name(graph, int(i)) for i in kept],
            "label": [labels.get(graph.ids[i], "") for i in kept],
            "kind": [KINDS[kind] for kind in layout.kind[kept]],
            "layer": layout.node_layer[kept],
            "position": layout.node_position[kept],
            "value": graph.value[kept],
            "influence": graph.influence[kept],
            **_terms(graph),
        }
    )


def edge_table(graph: Graph, pruned: Pruned, labels: dict[str, str]) -> pd.DataFrame:
    """Without names: those of the nodes are in their own table."""
    targets, sources = pruned.edges()
    effect = pruned.kept.data
    return pd.DataFrame(
        {
            "source": [graph.ids[i] for i in sources],
            "target": [graph.ids[i] for i in targets],
            "effect": effect,
            "share": effect / graph.mass[targets],
            **_terms(graph),
        }
    )


def _terms(graph: Graph) -> dict[str, str]:
    """In each row: a table has no other place for it that every program reads."""
    licence, notice = licence_of(graph.meta), notice_of(graph.meta)
    return {
        "model": public_name(graph.meta["model"]),
        "licence": licence or "unknown",
        "notice": notice or "",
    }


def as_csv(table: pd.DataFrame) -> bytes:
    """A text that a spreadsheet would take for a formula begins with an apostrophe."""
    texts = table.select_dtypes(["str", "object"]).map(_no_formula)
    named = table.assign(**texts).rename(columns=_no_formula)
    return named.to_csv(index=False, lineterminator="\r\n").encode()  # so a lone \r is quoted too, and begins no row


def _no_formula(cell: object) -> object:
    """Also of the wide forms, which spreadsheets in East Asian languages take for the narrow ones."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple("=+-@\t\r\n＝＋－＠")) else cell


def _csv(
    table: Callable[[Graph, Pruned, dict[str, str]], pd.DataFrame],
    key: str,
    graph: Graph,
    pruned: Pruned,
    addresses: bool,
) -> bytes:
    labels = labels_of(key, graph)
    if not addresses:
        labels = {node: without_addresses(label) for node, label in labels.items()}
    return as_csv(table(graph, pruned, labels))


def _written(name: str, write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path)
        return path.read_bytes()

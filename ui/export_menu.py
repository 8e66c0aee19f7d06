"""Files of the graph on the screen: JSON for Neuronpedia and circuit-tracer's page, .pt, tables; made when asked."""

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
from tracer.presets import licence_of
from ui.node_words import short_name


def export_menu(key: str, graph: Graph, pruned: Pruned, body: CircuitBody, thresholds: tuple[float, float]) -> None:
    name = f"hypograph-{key[:8]}"
    with st.popover("Export", width="stretch"):
        st.download_button(
            "JSON: Neuronpedia, circuit-tracer's page",
            data=lambda: as_json(name, graph, pruned, body, thresholds),
            file_name=f"{name}.json",
            mime="application/json",
            help="The graph as pruned here, with pins, groups and notes of licence.",
            key="export_json",
            on_click="ignore",
            width="stretch",
        )
        st.download_button(
            "PyTorch: circuit-tracer's .pt, everything",
            data=lambda: _written(f"{name}.pt", lambda path: circuit_tracer.save(graph, path)),
            file_name=f"{name}.pt",
            mime="application/octet-stream",
            key="export_pt",
            on_click="ignore",
            width="stretch",
        )
        for what, table in (("nodes", node_table), ("edges", edge_table)):
            st.download_button(
                f"CSV: {what} as pruned here",
                data=partial(_csv, table, graph, pruned),
                file_name=f"{name}-{what}.csv",
                mime="text/csv",
                key=f"export_{what}",
                on_click="ignore",
                width="stretch",
            )
        st.caption(f"Model {graph.meta['model']}: {licence_of(graph.meta) or 'terms unknown'}.")


def as_json(slug: str, graph: Graph, pruned: Pruned, body: CircuitBody, thresholds: tuple[float, float]) -> bytes:
    """Pins and groups go along as far as these thresholds show them: the format knows no others."""
    shown = {id for id in body.pins if id in graph.index and pruned.node_mask[graph.index[id]]}
    groups = [(group.name, [node for node in group.nodes if node in shown]) for group in body.groups]
    return _written(
        "graph.json",
        lambda path: neuronpedia.save(
            graph,
            path,
            slug,
            node_threshold=thresholds[0],
            edge_threshold=thresholds[1],
            pins=[pin for pin in body.pins if pin in shown],
            supernodes=[(name, nodes) for name, nodes in groups if nodes],
            licence=licence_of(graph.meta),
        ),
    )


def node_table(graph: Graph, pruned: Pruned) -> pd.DataFrame:
    kept, layout = pruned.node_mask.nonzero()[0], graph.layout
    return pd.DataFrame(
        {
            "id": [graph.ids[i] for i in kept],
            "name": [short_name(graph, int(i)) for i in kept],
            "kind": [KINDS[kind] for kind in layout.kind[kept]],
            "layer": layout.node_layer[kept],
            "position": layout.node_position[kept],
            "value": graph.value[kept],
            "influence": graph.influence[kept],
        }
    )


def edge_table(graph: Graph, pruned: Pruned) -> pd.DataFrame:
    targets, sources = pruned.edges()
    effect = graph.adjacency.data[pruned.kept_edges]
    return pd.DataFrame(
        {
            "source": [graph.ids[i] for i in sources],
            "target": [graph.ids[i] for i in targets],
            "effect": effect,
            "share": effect / graph.mass[targets],
        }
    )


def _csv(table: Callable[[Graph, Pruned], pd.DataFrame], graph: Graph, pruned: Pruned) -> bytes:
    return table(graph, pruned).to_csv(index=False).encode()


def _written(name: str, write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path)
        return path.read_bytes()

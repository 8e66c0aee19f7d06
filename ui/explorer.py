"""The explorer of one graph: canvas, thresholds, card, table. One fragment, so that a click reruns this alone."""

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from service import Service
from tracer import Graph
from tracer.graph.layout import KINDS
from ui.circuit_draft import Draft, draft_of
from ui.circuit_panel import circuit_panel, said
from ui.circuit_view import circuit_view
from ui.export_menu import export_menu
from ui.feature_label import labels_of
from ui.graph_canvas import graph_canvas
from ui.graph_payload import GraphView, graph_view
from ui.node_card import node_card
from ui.node_words import short_name
from ui.selection import Selection, selection_of

DEFAULT_NODES, DEFAULT_EDGES = 0.8, 0.98


@st.fragment
def explorer(service: Service, key: str, graph: Graph) -> None:
    canvas_side, card_side = st.columns([8, 5], gap="medium")
    with canvas_side:
        nodes, edges = st.columns(2)
        node_threshold = nodes.slider(
            "Nodes: share of influence kept",
            0.05,
            1.0,
            DEFAULT_NODES,
            0.01,
            key="nodes",
            bind="query-params",
            help="Prunes again: the fewest nodes that hold this share of all influence. Tokens and logits stay.",
        )
        edge_threshold = edges.slider(
            "Edges: share of scores kept",
            0.05,
            1.0,
            DEFAULT_EDGES,
            0.01,
            key="edges",
            bind="query-params",
            help="Prunes again: the fewest edges that hold this share of all edge scores.",
        )
        view = graph_view(key, graph, node_threshold, edge_threshold)
        counts, menus = st.columns([6, 2.4], vertical_alignment="center")
        menus = menus.container(horizontal=True, horizontal_alignment="right", gap="small")
        counts.caption(_counts(graph, view))
        selection = selection_of(key)
        selection.follow_address(graph.index)
        visible = set(view.canvas["nodes"]["id"])
        draft = draft_of(key, str(graph.meta.get("prompt", "")))
        reported = graph_canvas(
            view.canvas,
            overlay={"labels": labels_of(key, graph), "pins": list(draft.body.pins)},
            select={"id": selection.id, "nonce": f"{key}:{selection.nonce}"},
            key="canvas",
            height=740,
            on_pin=lambda ids: said(lambda: _pin(draft, ids)),
            on_group=lambda ids: said(lambda: draft.bring_in([], [(_group_name(draft), ids)])),
            on_join=lambda ids: said(lambda: draft.join(ids[:-1], ids[-1], _group_name(draft))),
        )
        selection.follow_canvas(reported, visible)
        with menus.popover("Link"):
            st.caption("Opens this graph with this selection and these thresholds, for whoever uses this server.")
            st.code(f"{st.context.url}?{urlencode(st.query_params.to_dict())}", language=None, wrap_lines=True)
        with menus:
            export_menu(key, graph, view.pruned, draft.body, (node_threshold, edge_threshold))
        below = st.container()
    with card_side, st.container(border=True, key="card"):
        node_card(service, key, graph, view, selection, draft)
    with below:  # after the card, which is waited for
        with st.container(border=True, key="circuit"):
            circuit_panel(graph, draft, selection, (node_threshold, edge_threshold))
        circuit_view(service, graph, draft, selection)
        _table(graph, view, selection)


def _pin(draft: Draft, ids: list[str]) -> None:
    """One node: in or out. Several: all in, as one change."""
    if len(ids) == 1:
        draft.toggle(ids[0])
    else:
        draft.bring_in(ids, [])


def _group_name(draft: Draft) -> str:
    """The first "group N" that no group has."""
    taken = {group.name for group in draft.body.groups}
    return next(name for n in range(1, len(taken) + 2) if (name := f"group {n}") not in taken)


def _counts(graph: Graph, view: GraphView) -> str:
    text = (
        f"{view.n_nodes:,} of {graph.layout.first_bias:,} nodes and {view.n_edges:,} of {graph.adjacency.nnz:,} edges"
        " kept"
    )
    text += f"; the {view.n_drawn:,} strongest edges can be drawn." if view.n_drawn < view.n_edges else "."
    (replacement, completeness), (whole_replacement, whole_completeness) = view.scores, view.whole_scores
    return text + (
        f" What is kept alone: replacement {replacement:.3f} (whole graph {whole_replacement:.3f}), completeness"
        f" {completeness:.3f} ({whole_completeness:.3f})."
    )


def _table(graph: Graph, view: GraphView, selection: Selection) -> None:
    """The nodes as a table: the canvas for those who can't see it, and for sorting and search."""
    with st.expander("Nodes as a table", icon=":material/table:"):
        kept = view.pruned.node_mask.nonzero()[0]
        layout = graph.layout
        table = pd.DataFrame(
            {
                "node": [short_name(graph, int(i)) for i in kept],
                "kind": [KINDS[k] for k in layout.kind[kept]],
                "layer": layout.node_layer[kept],
                "position": layout.node_position[kept],
                "value": graph.value[kept],
                "influence": 100 * graph.influence[kept],
                "id": [graph.ids[i] for i in kept],
            }
        ).sort_values("influence", ascending=False, ignore_index=True)
        event = st.dataframe(
            table,
            key=f"table_{selection.nonce}_{view.canvas['rev']}",
            hide_index=True,
            height=320,
            on_select="rerun",
            selection_mode="single-row",
            alt="the nodes of the graph, most influential first",
            column_config={
                "value": st.column_config.NumberColumn(format="%.3f", help="Activation, or logit less the mean."),
                "influence": st.column_config.NumberColumn(format="%.2f %%", help="Share of the explanation."),
            },
        )
        if event["selection"]["rows"]:
            selection.choose(str(table["id"][event["selection"]["rows"][0]]))
            st.rerun(scope="fragment")

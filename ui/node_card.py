"""The card of one node: what it is, its inputs and outputs, what it says, where it is active."""

import numpy as np
import pandas as pd
import streamlit as st

from service import Service
from tracer import Graph, ReplacementModel
from ui.card_head import card_head
from ui.circuit_draft import Draft
from ui.elsewhere import elsewhere
from ui.feature_examples import examples
from ui.feature_facts import made_by, record_of
from ui.feature_label import label_field
from ui.follow import follow
from ui.graph_canvas import pretty_token
from ui.graph_payload import GraphView
from ui.node_words import FEATURE, short_name
from ui.public_record import public_record
from ui.selection import Selection
from ui.set_examples import set_examples
from ui.sidebar import plain
from ui.token_strip import token_strip
from ui.try_text import try_text

ROWS = 200  # of the inputs and outputs, the strongest
NO_MODEL = "What it says and where it is active need the model of this graph, which is not loaded."


def node_card(service: Service, key: str, graph: Graph, view: GraphView, selection: Selection, draft: Draft) -> None:
    node = None if selection.id is None else graph.index[selection.id]
    head, buttons = st.columns([6, 2.8])
    with head:
        card_head(graph, node, heard=selection.reported)
    if node is None:
        return
    pinned = graph.ids[node] in draft.body.pins
    row = buttons.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small")
    row.button(
        "Unpin" if pinned else "Pin",
        key="pin",
        help="Into the circuit, or out of it",
        on_click=draft.toggle,
        args=(graph.ids[node],),
    )
    if row.button("✕", key="close_card", help="Clear the selection", type="tertiary"):
        selection.choose(None)
        st.rerun(scope="fragment")
    if not view.pruned.node_mask[node]:
        st.caption(":material/visibility_off: Hidden at this threshold: its influence is below the cut.")
    label_field(key, graph, node)
    inputs, outputs = st.tabs(["Inputs", "Outputs"])
    with inputs:
        _edges(graph, view, node, selection, *graph.inputs(node), side="inputs")
    with outputs:
        _edges(graph, view, node, selection, *graph.outputs(node), side="outputs")
    if graph.layout.kind[node] == FEATURE:
        model = service.model
        layer, feature = int(graph.layout.layer[node]), int(graph.layout.feature[node])
        if model is None or not made_by(model, graph):
            if not follow(lambda: _loading(service)):
                st.caption(NO_MODEL)
        else:
            _activity(model, graph, node)
            try_text(service, model, layer, feature)
            _says(service, model, graph, node)
            examples(service, model, layer, feature, float(graph.activation[node]))
            set_examples(model, layer, feature)
        public_record(service, graph, layer, feature)
        elsewhere(service, key, graph, node, selection)


def _loading(service: Service) -> str | None:
    """While a model is on its way, be it this graph's or another; the sidebar says how far."""
    state = service.model_state()
    if state.state != "loading":
        return None
    return f":material/hourglass_empty: {NO_MODEL} {plain(state.name)} is being loaded."


def _edges(
    graph: Graph,
    view: GraphView,
    node: int,
    selection: Selection,
    others: np.ndarray,
    weights: np.ndarray,
    side: str,
) -> None:
    if not len(others):
        st.caption("It has none: it is where an explanation ends." if side == "inputs" else "It feeds no node here.")
        return
    of = graph.mass[node] if side == "inputs" else graph.mass[others]
    shares = 100 * weights / of
    strongest = np.argsort(-np.abs(shares), kind="stable")[:ROWS]
    table = pd.DataFrame(
        {
            "node": [short_name(graph, int(i)) for i in others[strongest]],
            "share": shares[strongest],
            "effect": weights[strongest],
            "shown": view.pruned.node_mask[others[strongest]],
        }
    )
    whose = "this node's" if side == "inputs" else "the target's"
    event = st.dataframe(
        table,
        key=f"{side}_{selection.id}",
        hide_index=True,
        height=250,
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{side} of {short_name(graph, node)}",
        column_config={
            "share": st.column_config.NumberColumn(
                format="%+.1f %%", help=f"Signed share of {whose} absolute input.", width=70
            ),
            "effect": st.column_config.NumberColumn(
                format="%+.4g", help="Direct effect, in units of the target: activation or logit.", width=75
            ),
            "shown": st.column_config.CheckboxColumn(help="Shown at these thresholds.", width=55),
        },
    )
    if len(others) > ROWS:
        st.caption(f"The {ROWS} strongest of {len(others):,}.")
    if event["selection"]["rows"]:
        selection.choose(graph.ids[int(others[strongest[event["selection"]["rows"][0]]])])
        st.rerun(scope="fragment")


def _activity(model: ReplacementModel, graph: Graph, node: int) -> None:
    layout = graph.layout
    st.markdown("**Activation at each token**")
    record = record_of(model, graph.token_ids)
    values = model.activations(record, int(layout.layer[node]), int(layout.feature[node]))
    token_strip(
        graph.tokens,
        graph.token_ids,
        key="activity",
        label="Activation of this feature at each token",
        special=graph.meta["excluded"],
        values=values.tolist(),
    )


def _says(service: Service, model: ReplacementModel, graph: Graph, node: int) -> None:
    layout = graph.layout
    raised, lowered = service.facts.says(model, int(layout.layer[node]), int(layout.feature[node]))
    sign = -1 if graph.activation[node] < 0 else 1
    st.markdown(
        "**What it says**",
        help="Tokens whose logits its write vector raises and lowers most, through the unembedding: change of the"
        " logit (less the mean) for each unit of activation, norm scales left out. A negative activation turns the"
        " signs around.",
    )
    if sign < 0:
        st.caption("Its activation here is negative: it pushes the other way.")
    table = pd.DataFrame(
        {
            "raises": [pretty_token(t) for t, _ in raised],
            "by": [v for _, v in raised],
            "lowers": [pretty_token(t) for t, _ in lowered],
            "by ": [v for _, v in lowered],
        }
    )
    value = st.column_config.NumberColumn(format="%+.2f", width=70)
    st.dataframe(
        table, hide_index=True, alt="tokens that it raises and lowers", column_config={"by": value, "by ": value}
    )

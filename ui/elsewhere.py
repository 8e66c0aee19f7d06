"""The same feature elsewhere: at other tokens of this prompt, and in other cached graphs of the same model."""

import numpy as np
import pandas as pd
import streamlit as st

from service import Service
from tracer import Graph
from ui.graph_canvas import pretty_token
from ui.selection import Selection
from ui.sidebar import plain

SHOWN = 8  # graphs


def elsewhere(service: Service, key: str, graph: Graph, node: int, selection: Selection) -> None:
    """`node` is a feature."""
    layout = graph.layout
    layer, feature = int(layout.layer[node]), int(layout.feature[node])
    st.markdown("**The same feature elsewhere**")
    same = np.flatnonzero((layout.layer == layer) & (layout.feature == feature))
    if len(same) == 1:
        st.caption("At no other token of this prompt is it a node.")
    else:
        _here(graph, node, same, selection)
    basis = graph.meta.get("basis_fingerprint")
    if basis is None:  # an imported graph
        return
    found = service.sightings.find(graph.meta["model_fingerprint"], basis, layer, feature)
    others = [sighting for sighting in found if sighting.key != key]
    if not others:
        st.caption("None of the latest graphs of this model and its features has it.")
        return
    st.caption(
        f"In {len(others)} of the latest graphs"
        + (f"; the {SHOWN} where it is most active:" if len(others) > SHOWN else ", where it is most active first:")
    )
    for sighting in others[:SHOWN]:
        prompt = sighting.prompt if len(sighting.prompt) <= 60 else sighting.prompt[:59] + "…"
        more = f", one of {sighting.n_positions} tokens" if sighting.n_positions > 1 else ""
        words = f"{sighting.activation:.3g} at {pretty_token(sighting.token)} ({sighting.position}{more}): {prompt}"
        # Not a link: from a page to itself Streamlit keeps the old query.
        if st.button(plain(words), key=f"elsewhere_{sighting.key}", icon=":material/hub:", type="tertiary"):
            st.query_params.update(graph=sighting.key, select=sighting.node)  # at once: one step for Back
            st.rerun()


def _here(graph: Graph, node: int, same: np.ndarray, selection: Selection) -> None:
    layout = graph.layout
    table = pd.DataFrame(
        {
            "token": [pretty_token(graph.tokens[p]) for p in layout.position[same]],
            "position": layout.position[same],
            "activation": graph.activation[same],
            "influence": 100 * graph.influence[same],
            "this": same == node,
        }
    )
    event = st.dataframe(
        table,
        key=f"same_{selection.id}",
        hide_index=True,
        height=min(200, 38 + 35 * len(same)),
        on_select="rerun",
        selection_mode="single-row",
        alt="this feature at the tokens of this prompt",
        column_config={
            "activation": st.column_config.NumberColumn(format="%.3g", width=75),
            "influence": st.column_config.NumberColumn(format="%.2f %%", width=75),
            "this": st.column_config.CheckboxColumn(help="The node of this card.", width=45),
        },
    )
    if event["selection"]["rows"]:
        chosen = int(same[event["selection"]["rows"][0]])
        if chosen != node:
            selection.choose(graph.ids[chosen])
            st.rerun(scope="fragment")

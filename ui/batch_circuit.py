"""The circuit that the graphs of a batch share: drawn, and as a table with its intervals."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from service import Service
from tracer.graph.aggregate import Sheet
from tracer.graph.consensus import LEAST, Consensus
from ui.batch_features import least_field, recurring_at_least, strongest_link, with_names
from ui.batch_source import Batch, consensus_of
from ui.circuit_drawing import LEVEL, MOST_DRAWN, Arrow, Spot, draw_circuit
from ui.export_menu import as_csv

FEW, MOST = 4, MOST_DRAWN - 2
MOST_IN_A_ROW = 6  # of one layer: the rest stands above
MOST_ARROWS = 120  # the strongest: more can't be read
GAP, ASIDE = 190.0, 60.0  # units between neighbours of a row; of every other row, so that edges miss nodes in between
SHARE = st.column_config.NumberColumn(format="%.0f %%", width=60)
WEIGHT = st.column_config.NumberColumn(format="%+.1f %%", width=75)


def circuit(service: Service, batch: Batch, sheets: Sequence[Sheet]) -> None:
    first, second, third = st.columns(3, gap="medium")
    with third:
        least_field()
    table = with_names(recurring_at_least(sheets), sheets)
    n = first.slider(
        "Features", FEW, MOST, 16, key="batch_circuit_n", help="Those of most graphs, of equals the more influential."
    )
    share = second.slider(
        "Presence: in this share of the graphs or more",
        0,
        100,
        50,
        step=5,
        format="%d %%",
        key="batch_circuit_share",
        help=f"Of each edge. It is in a graph where it carries {LEAST:.0%} or more of its target's input.",
    )
    chosen = table.head(n).to_dict("records")
    if not chosen:
        st.info("No feature counts at this influence: lower it.")
        return
    pairs = tuple((row["layer"], row["feature"]) for row in chosen)
    found = consensus_of(tuple(one.id for one in sheets), pairs, service)
    names = [f"{row['name']}{' ' + row['label'] if row['label'] else ''}" for row in chosen] + ["tokens", "targets"]
    edges = found.edges[found.edges["share"] >= share / 100].reset_index(drop=True)
    edges = edges[edges["present"] > 0].reset_index(drop=True)
    with st.container():
        clicked = _draw(found, names, chosen, edges)
        st.caption(
            "An edge: the signed share of its target's input, on average over the graphs that have both (dashed:"
            f" negative). Direct effects alone. {len(edges):,} edges"
            + (f", the {MOST_ARROWS} strongest are drawn" if len(edges) > MOST_ARROWS else "")
            + ". *tokens* are all of a prompt's, *targets* all that its graph explains."
        )
    with st.container():
        if clicked is not None:
            strongest_link(batch, chosen[clicked])
        else:
            st.caption("Click a feature to open it where it is strongest.")
    _table(found, names, edges)


def _draw(found: Consensus, names: list[str], chosen: list[dict], edges: pd.DataFrame) -> int | None:
    """The number of the feature that was clicked."""
    layers = [row["layer"] for row in chosen] + [-1, max(row["layer"] for row in chosen) + 1]
    spots, level = [], 0
    for layer in sorted(set(layers)):
        there = [i for i, at in enumerate(layers) if at == layer]
        for start in range(0, len(there), MOST_IN_A_ROW):
            row = there[start : start + MOST_IN_A_ROW]
            for place, i in enumerate(row):
                x = (place - (len(row) - 1) / 2) * GAP + level % 2 * ASIDE
                title = f"{names[i]}: in {found.there[i]:,} of {found.n_graphs:,} graphs"
                spots.append(Spot(str(i), names[i][:40], title, x, -LEVEL * level, several=i >= found.tokens))
            level += 1
    strongest = edges.reindex(edges["mean"].abs().sort_values(ascending=False).index).head(MOST_ARROWS)
    arrows = [
        Arrow(
            str(row["source"]), str(row["target"]), row["mean"], f"in {row['present']:,} of {found.n_graphs:,} graphs"
        )
        for row in strongest.to_dict("records")
    ]
    clicked = draw_circuit(spots, arrows)
    return int(clicked) if clicked is not None and int(clicked) < found.tokens else None


def _table(found: Consensus, names: list[str], edges: pd.DataFrame) -> None:
    shown = pd.DataFrame(
        {
            "from": [names[i] for i in edges["source"]],
            "to": [names[i] for i in edges["target"]],
            "graphs": edges["present"],
            "share": 100 * edges["share"],
            "at least": 100 * edges["low"],
            "at most": 100 * edges["high"],
            "edge": 100 * edges["mean"],
            "lower": 100 * edges["mean_low"],
            "upper": 100 * edges["mean_high"],
            "both": edges["graphs"],
        }
    )
    if shown.empty:
        st.info("No edge is in so many of the graphs: lower the share.")
        return
    st.dataframe(
        shown,
        key="batch_edges",
        hide_index=True,
        height=min(420, 38 + 35 * len(shown)),
        alt="edges of the shared circuit, those of most graphs first",
        column_config={
            "graphs": st.column_config.NumberColumn(width=60, help=f"Of {found.n_graphs:,}, in how many it is."),
            "share": SHARE,
            "at least": st.column_config.NumberColumn(
                format="%.0f %%", width=70, help="The 95 % interval of the share, exact (Clopper–Pearson)."
            ),
            "at most": SHARE,
            "edge": st.column_config.NumberColumn(
                format="%+.1f %%",
                width=75,
                help="Signed share of the target's absolute input, the mean over graphs that have both as nodes.",
            ),
            "lower": st.column_config.NumberColumn(
                format="%+.1f %%", width=75, help="The 95 % interval of that mean (Student's t); none of one graph."
            ),
            "upper": WEIGHT,
            "both": st.column_config.NumberColumn(width=55, help="Graphs that have both ends as nodes."),
        },
    )
    st.download_button(
        "CSV",
        data=lambda: as_csv(shown),
        file_name="shared-circuit.csv",
        mime="text/csv",
        key="batch_edges_csv",
        icon=":material/download:",
    )

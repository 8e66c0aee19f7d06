"""The graphs of a batch: their scores as a scatter, those that are unlike the others and why, and all of them."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from tracer.graph.aggregate import FAR, FEWEST, Sheet
from ui.batch_source import Batch, graphs_of
from ui.export_menu import as_csv
from ui.graph_canvas import pretty_token
from ui.graph_diff import BY_KEYBOARD
from ui.sidebar import plain

SCORE = st.column_config.NumberColumn(format="%.3f", width=95)
WHY = {
    "overlap": "shares little with the others: {value:.0%} of the influence, median {median:.0%}",
    "replacement": "replacement score {value:.3f}, median {median:.3f}",
    "completeness": "completeness score {value:.3f}, median {median:.3f}",
    "row_error": "its rows do not add up: error {value:.1e}, median {median:.1e}",
}


def graphs(batch: Batch, sheets: Sequence[Sheet]) -> None:
    table, far = graphs_of(tuple(one.id for one in sheets), sheets)
    reasons = {
        key: "; ".join(WHY[row["measure"]].format(**row) for row in rows.to_dict("records"))
        for key, rows in far.groupby("id", sort=False)
    }
    scores, unlike = st.columns([3, 2], gap="large")
    with scores:
        st.subheader("Scores")
        chosen = _scatter(table, reasons)
    with unlike:
        st.subheader(
            "Unlike the others",
            help=f"Further than {FAR} robust standard deviations (1.4826 × the median distance) from the median of the"
            " batch: overlap below, row error above, scores on either side.",
        )
        if len(table) < FEWEST:
            st.caption(f"Asked of {FEWEST} graphs or more.")
        elif not reasons:
            st.caption("None of them.")
        for key, why in [*reasons.items()][:12]:
            prompt = " ".join(batch.item(str(key)).prompt.split())
            _link(str(key), prompt)
            st.caption(plain(why[:1].upper() + why[1:]) + ".")
    with st.container():
        if chosen is not None:
            _link(chosen, " ".join(batch.item(chosen).prompt.split()))
        else:
            st.caption("Click a point to open its graph.")
    _all(table, reasons, [", ".join(pretty_token(token) for token in one.targets[:3]) for one in sheets])


def _link(key: str, prompt: str) -> None:
    label = plain(prompt[:70]) or "Open the graph"
    st.page_link("pages/graph.py", label=label, icon=":material/hub:", query_params={"graph": key})


def _scatter(table: pd.DataFrame, reasons: dict) -> str | None:
    """The key of the graph that was clicked."""
    points = table[["id", "prompt", "replacement", "completeness", "overlap"]].copy()
    points["prompt"] = points["prompt"].str.slice(0, 120)
    kinds = ["like the others", "unlike"]
    points["kind"] = [kinds[key in reasons] for key in points["id"]]
    picked = alt.selection_point(name="picked", fields=["id"], toggle=False)
    legend = alt.Legend(title=None, orient="top")
    chart = (
        alt.Chart(points)
        .mark_point(filled=False, size=70, strokeWidth=1.8)
        .encode(
            x=alt.X("replacement:Q", title="replacement score", scale=alt.Scale(zero=False, nice=True)),
            y=alt.Y("completeness:Q", title="completeness score", scale=alt.Scale(zero=False, nice=True)),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), legend=legend),
            color=alt.Color("kind:N", scale=alt.Scale(domain=kinds), legend=legend),
            opacity=alt.condition(picked, alt.value(0.9), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("prompt:N"),
                alt.Tooltip("replacement:Q", format=".3f"),
                alt.Tooltip("completeness:Q", format=".3f"),
                alt.Tooltip("overlap:Q", title="overlap with the others", format=".1%"),
            ],
        )
        .add_params(picked)
        .properties(height=320)
    )
    event = st.altair_chart(
        chart,
        key=f"batch_scatter_{hash(tuple(points['id']))}",
        on_select="rerun",
        alt="each graph's replacement score along the bottom, completeness upwards",
    )
    found = event["selection"].get("picked") or [{}]
    key = found[0].get("id")
    return key if key in set(points["id"]) else None


def _all(table: pd.DataFrame, reasons: dict, targets: list[str]) -> None:
    shown = pd.DataFrame(
        {
            "prompt": table["prompt"],
            "targets": targets,
            "tokens": table["tokens"],
            "features": table["features"],
            "replacement": table["replacement"],
            "completeness": table["completeness"],
            "overlap": 100 * table["overlap"],
            "row error": table["row_error"],
            "unlike the others": [reasons.get(key, "") for key in table["id"]],
        }
    )
    event = st.dataframe(
        shown,
        key=f"batch_graphs_{hash(tuple(table['id']))}",
        hide_index=True,
        height=min(420, 38 + 35 * len(shown)),
        on_select="rerun",
        selection_mode="single-row",
        alt="the graphs of the batch in their order",
        column_config={
            "prompt": st.column_config.TextColumn(width=300),
            "replacement": SCORE,
            "completeness": SCORE,
            "overlap": st.column_config.NumberColumn(
                format="%.0f %%",
                width=70,
                help="Of its influence, how much lies where the others have theirs (weighted Jaccard index with their"
                " mean).",
            ),
            "row error": st.column_config.NumberColumn(
                format="%.1e", width=80, help="The worst gap between a row's sum and its target, as a share of the row."
            ),
        },
    )
    rows = [row for row in event["selection"]["rows"] if row < len(shown)]
    if rows:
        _link(str(table["id"].iloc[rows[0]]), " ".join(str(table["prompt"].iloc[rows[0]]).split()))
    else:
        st.caption(f"Select a row to open its graph. {BY_KEYBOARD}")
    st.download_button(
        "CSV",
        data=lambda: as_csv(table.drop(columns=["id"]).assign(unlike=list(shown["unlike the others"]))),
        file_name="batch-scores.csv",
        mime="text/csv",
        key="batch_graphs_csv",
        icon=":material/download:",
    )

"""Two graphs of one model side by side: prompts, targets, scores, and their features aligned by (layer, index)."""

from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from service import Service
from tracer import Graph, TracerError
from tracer.graph.compare import BOTH, LEFT, RIGHT, compare_features, compare_targets, shared_influence
from tracer.graph.scores import Scores
from ui.feature_label import labels_of
from ui.graph_canvas import pretty_token
from ui.library_search import words_of
from ui.node_words import target_name
from ui.sidebar import plain
from ui.token_strip import token_strip

BY_KEYBOARD = "By keyboard: the arrows, then Shift and Space."

WORDS = {BOTH: "shared", LEFT: "only left", RIGHT: "only right"}
MOST_POINTS = 3_000
"""Drawn at most, the most influential first."""

PERCENT = st.column_config.NumberColumn(format="%.2f %%", width=105)
SHARE = st.column_config.NumberColumn(format="%.2f %%", width=70)
NUMBER = st.column_config.NumberColumn(format="%.3g", width=110)
CHANGE = st.column_config.NumberColumn(format="%+.2f %%", width=75, help="Right less left, of all influence.")
ACTIVATION_CHANGE = st.column_config.NumberColumn(format="%+.3g", width=125, help="Right less left.")
SCORE_NAMES = {
    "replacement": "Replacement",
    "completeness": "Completeness",
    "strict_replacement": "Replacement, dropped features as errors",
    "strict_completeness": "Completeness, dropped features as errors",
}


@dataclass(frozen=True)
class Comparison:
    features: pd.DataFrame
    targets: pd.DataFrame
    shared: tuple[float, float]  # of the influence of all features: left, right
    scores: tuple[Scores, Scores]
    weight: tuple[float, float]  # of all targets: what the influence of one that all passes through would be


def graph_diff(service: Service, left_key: str, right_key: str) -> None:
    """Says in one line which graph is missing, or why the two can't be compared."""
    left, right = service.graph(left_key), service.graph(right_key)
    if left is None or right is None:
        for side, graph in ((LEFT, left), (RIGHT, right)):
            if graph is None:
                st.error(f"The graph on the {side} is not in this machine's cache (any more): trace its prompt again.")
        return
    try:
        found = _comparison(left_key, right_key, left, right)
    except TracerError as problem:
        st.error(f"Not compared: {plain(str(problem))}.")
        return
    for side, column, key, graph in zip(
        (LEFT, RIGHT), st.columns(2, gap="medium"), (left_key, right_key), (left, right), strict=True
    ):
        with column:
            _head(side, key, graph)
    _counts(found)
    _targets_and_scores(found)
    _features(left_key, right_key, left, right, found.features)


@st.cache_resource(max_entries=16, show_spinner=False)
def _comparison(left_key: str, right_key: str, _left: Graph, _right: Graph) -> Comparison:
    features = compare_features(_left, _right)
    targets = compare_targets(_left, _right)
    scores = (_left.scores(), _right.scores())
    weight = (float(_left.weights.sum()), float(_right.weights.sum()))
    return Comparison(features, targets, shared_influence(features), scores, weight)


def _head(side: str, key: str, graph: Graph) -> None:
    st.subheader(side.capitalize())
    token_strip(
        graph.tokens, graph.token_ids, key=f"diff_{side}", label=f"Prompt on the {side}", special=graph.meta["excluded"]
    )
    explained = ", ".join(target_name(target) for target in graph.targets[:3])
    st.caption(f"Explains **{plain(explained)}** · {plain(graph.meta['model'])}, {plain(graph.meta['features'])}")
    st.page_link(
        "pages/graph.py",
        label=f"Open the graph on the {side}",
        icon=":material/hub:",
        query_params={"graph": key},
    )


def _counts(found: Comparison) -> None:
    where = found.features["where"].value_counts()
    shared, left, right = st.columns(3)
    shared.metric(
        "Shared features",
        f"{where.get(BOTH, 0):,}",
        help="Nodes of both graphs: the same layer and the same index, at whatever positions.",
    )
    left.metric("Only left", f"{where.get(LEFT, 0):,}")
    right.metric("Only right", f"{where.get(RIGHT, 0):,}")
    st.caption(
        f"The shared ones carry {found.shared[0]:.1%} of the influence of all features on the left, and"
        f" {found.shared[1]:.1%} on the right. Influence is weighted by the targets' probabilities, which sum to"
        f" {found.weight[0]:.1%} and {found.weight[1]:.1%}. None below: the token is no target of that graph."
    )


def _targets_and_scores(found: Comparison) -> None:
    one, other = st.columns(2, gap="medium")
    table = found.targets
    one.dataframe(
        pd.DataFrame(
            {
                "target": [pretty_token(token) for token in table["token"]],
                "left": 100 * table["probability_left"],
                "right": 100 * table["probability_right"],
                "logit left": table["value_left"],
                "logit right": table["value_right"],
            }
        ),
        hide_index=True,
        height=min(250, 38 + 35 * len(table)),
        alt="the targets of both graphs with their probabilities",
        column_config={
            "left": SHARE,
            "right": SHARE,
            "logit left": st.column_config.NumberColumn(format="%.2f", help="Less the mean logit."),
            "logit right": st.column_config.NumberColumn(format="%.2f", help="Less the mean logit."),
        },
    )
    left, right = (vars(scores) for scores in found.scores)
    names = [name for name in SCORE_NAMES if not name.startswith("strict") or _strict_differs(left, right)]
    other.dataframe(
        pd.DataFrame(
            {
                "score": [SCORE_NAMES[name] for name in names],
                "left": [left[name] for name in names],
                "right": [right[name] for name in names],
            }
        ),
        hide_index=True,
        height="content",
        alt="the scores of both graphs",
        column_config={side: st.column_config.NumberColumn(format="%.3f", width=70) for side in (LEFT, RIGHT)},
    )


def _strict_differs(*scores: dict[str, float]) -> bool:
    return any(s["replacement"] != s["strict_replacement"] for s in scores)


@st.fragment
def _features(left_key: str, right_key: str, left: Graph, right: Graph, features: pd.DataFrame) -> None:
    """The filters, the chart and the table; a row that is chosen leads into both graphs."""
    st.subheader("Features")
    names = {word: where for where, word in WORDS.items()}
    kind, layers, search = st.columns([3, 3, 3])
    where = kind.segmented_control("Show", list(names), key="diff_where", help="Nothing chosen: all of them.")
    top = max(left.layout.n_layers, right.layout.n_layers) - 1
    first, last = (0, 0) if top == 0 else layers.slider("Layers", 0, top, (0, top), key="diff_layers")
    words = search.text_input(
        "Search", key="diff_search", live="250ms", placeholder="label, L13 or 13/1012", autocomplete="off"
    )
    table = features.assign(
        name=[f"L{layer} · {index}" for layer, index in zip(features["layer"], features["feature"], strict=True)],
        label=_labels(left_key, right_key, left, right, features),
    )
    kept = table["layer"].between(first, last)
    if where is not None:
        kept &= table["where"] == names[where]
    number = table["layer"].astype(str) + "/" + table["feature"].astype(str)
    said = (table["name"] + " " + number + " " + table["label"]).str.lower()
    for word in words_of(words):
        kept &= said.str.contains(word, regex=False)
    table = table[kept].reset_index(drop=True)
    st.caption(
        f"{len(table):,} of {len(features):,} features. One that is a node at several positions counts once: its"
        " influence is the sum over them, its activation that of the most influential one. One that is no node of a"
        " graph counts there with no influence; its part is in that graph's errors."
    )
    if table.empty:
        return
    st.altair_chart(_scatter(table), alt="influence of each feature: left along the bottom, right upwards")
    if len(table) > MOST_POINTS:
        st.caption(f"Drawn are the {MOST_POINTS:,} most influential.")
    event = st.dataframe(
        pd.DataFrame(
            {
                "feature": table["name"],
                "label": table["label"],
                "in": [WORDS[side] for side in table["where"]],
                "influence left": 100 * table["influence_left"],
                "influence right": 100 * table["influence_right"],
                "change": 100 * table["change"],
                "activation left": table["activation_left"],
                "activation right": table["activation_right"],
                "activation change": table["activation_change"],
                "positions left": table["positions_left"],
                "positions right": table["positions_right"],
            }
        ),
        key=f"diff_table_{where}_{first}_{last}_{words}",
        hide_index=True,
        height=min(420, 38 + 35 * len(table)),
        on_select="rerun",
        selection_mode="single-row",
        alt="features of both graphs, the most influential first",
        column_config={
            "influence left": PERCENT,
            "influence right": PERCENT,
            "change": CHANGE,
            "activation left": NUMBER,
            "activation right": NUMBER,
            "activation change": ACTIVATION_CHANGE,
        },
    )
    rows = event["selection"]["rows"]
    if not rows or rows[0] >= len(table):
        st.caption(f"Select a row to open the feature in either graph. {BY_KEYBOARD}")
        return
    chosen = table.iloc[rows[0]]
    for side, column, key in zip((LEFT, RIGHT), st.columns(2, gap="medium"), (left_key, right_key), strict=True):
        if chosen[f"node_{side}"] is None:
            column.caption(f"{chosen['name']} is no node of the graph on the {side}.")
        else:
            column.page_link(
                "pages/graph.py",
                label=f"{chosen['name']} in the graph on the {side}",
                icon=":material/hub:",
                query_params={"graph": key, "select": chosen[f"node_{side}"]},
            )


def _labels(left_key: str, right_key: str, left: Graph, right: Graph, features: pd.DataFrame) -> list[str]:
    """What the lab calls each feature: on the left, else on the right."""
    ours, theirs = labels_of(left_key, left), labels_of(right_key, right)
    return [
        ours.get(a) or theirs.get(b) or "" for a, b in zip(features["node_left"], features["node_right"], strict=True)
    ]


def _scatter(table: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Square-root axes: influence is spread over some four powers of ten, and is 0 where a feature is no node."""
    points = table.head(MOST_POINTS)[["name", "label", "where", "influence_left", "influence_right"]].copy()
    points["where"] = points["where"].map(WORDS)
    top = float(np.nanmax(points[["influence_left", "influence_right"]].to_numpy())) or 1.0
    scale = alt.Scale(type="sqrt", domain=[0, 1.05 * top])
    axis = alt.Axis(format="~p", tickCount=6)
    words = list(WORDS.values())
    dots = (
        alt.Chart(points)
        .mark_point(filled=False, size=45, opacity=0.8)
        .encode(
            x=alt.X("influence_left:Q", title="influence left", scale=scale, axis=axis),
            y=alt.Y("influence_right:Q", title="influence right", scale=scale, axis=axis),
            shape=alt.Shape(
                "where:N",
                scale=alt.Scale(domain=words, range=["circle", "triangle-left", "triangle-right"]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            color=alt.Color("where:N", scale=alt.Scale(domain=words), legend=alt.Legend(title=None, orient="top")),
            tooltip=[
                alt.Tooltip("name:N", title="feature"),
                alt.Tooltip("label:N", title="label"),
                alt.Tooltip("where:N", title="in"),
                alt.Tooltip("influence_left:Q", title="influence left", format=".2%"),
                alt.Tooltip("influence_right:Q", title="influence right", format=".2%"),
            ],
        )
    )
    line = alt.Chart(pd.DataFrame({"x": [0, top], "y": [0, top]})).mark_line(
        strokeDash=[4, 4], strokeWidth=1, color="#808a8c"
    )
    same = line.encode(x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale))
    return alt.layer(same, dots).properties(height=320)

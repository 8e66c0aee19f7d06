"""Above a graph: its prompt, what it explains, and how much of that its nodes account for."""

import streamlit as st

from tracer import Graph
from ui.node_words import target_name
from ui.sidebar import plain
from ui.token_strip import token_strip

SCORES = {
    "Replacement": "Of what is traced back to the inputs, the share that reaches tokens and not errors."
    " 1 would be a graph without errors.",
    "Completeness": "The share of all nodes' inputs, weighted by influence, that comes from nodes and not from errors.",
    "Worst row": "The largest gap between a target and the sum of its inputs, as a share of those inputs: how exact the"
    " graph is. Up to 0.01 % is accepted.",
}


def graph_header(graph: Graph) -> None:
    st.title("Attribution graph")
    left, right = st.columns([8, 5], gap="medium", vertical_alignment="center")
    with left:
        token_strip(graph.tokens, graph.token_ids, key="header", label="Prompt", special=graph.meta["excluded"])
        explained = ", ".join(
            target_name(t) + ("" if t.probability is None else f" {t.probability:.1%}") for t in graph.targets[:4]
        )
        more = f" and {len(graph.targets) - 4} more" if len(graph.targets) > 4 else ""
        meta = graph.meta
        selected = f"{graph.layout.n_features:,} features"
        if meta["n_active"] is not None:
            selected = f"{graph.layout.n_features:,} of {meta['n_active']:,} active features selected"
        st.caption(
            f"Explains **{plain(explained)}**{more} · {plain(meta['model'])}, {plain(meta['features'])} · {selected}"
        )
    scores = graph.scores()
    if graph.dropped is not None:
        share = graph.dropped.mass / (graph.dropped.mass + float(abs(graph.adjacency).sum()))
        left.caption(
            f"{len(graph.dropped.features):,} active features were left out; they carry"
            f" {share:.1%} of all direct effects"
            f" (Σ|effect| {graph.dropped.mass:,.4g}). Counted as errors they would leave replacement"
            f" {scores.strict_replacement:.3f}, completeness {scores.strict_completeness:.3f}."
        )
    worst = f"{graph.row_error:.0e}" if graph.complete else "unknown"
    values = (f"{scores.replacement:.3f}", f"{scores.completeness:.3f}", worst)
    for column, (name, help_), value in zip(right.columns(3, wrap=False), SCORES.items(), values, strict=True):
        column.metric(name, value, help=help_)

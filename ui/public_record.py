"""What Neuronpedia says of a feature: asked for by a button where a key is set, and shown again without a network."""

from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

from service import Service
from service.public_records import FeatureName, name_there
from tracer import Graph
from tracer.dashboards.public_record import PublicRecord
from ui.feature_examples import SHOWN
from ui.follow import follow
from ui.graph_canvas import pretty_token
from ui.sidebar import plain
from ui.token_strip import token_strip


def public_record(service: Service, graph: Graph, layer: int, feature: int) -> None:
    """Nothing for features that Neuronpedia does not have, or without key and without what was read before."""
    name = name_there(graph.meta, layer, feature)
    if name is None:
        return
    records, host = service.public_records, urlsplit(service.settings.neuronpedia).netloc
    found = records.kept(name)
    if found is None and not records.can_ask:
        return
    st.markdown(
        "**On Neuronpedia**",
        help=f"What {plain(host)} has of this feature: examples of its corpus, explanations by people or models."
        " Read when you ask for it; kept here, so that it opens without a network.",
    )
    if found is not None:
        _show(found, host, name)
        st.link_button("Its page there", f"{service.settings.neuronpedia}/{name.path}", icon=":material/open_in_new:")
    if follow(lambda: f":material/hourglass_empty: Reading from {plain(host)} …" if records.reading(name) else None):
        return
    if failure := records.failure(name):
        st.warning(plain(f"Not read: {failure}."))
    if records.can_ask:
        st.button(
            "Read from Neuronpedia" if found is None else "Read it again",
            key=f"public_{name.layer}_{name.index}",
            help=f"Asks {plain(host)} for {plain(name.path)}, with your key.",
            on_click=records.ask,
            args=(name,),
        )


def _show(found: PublicRecord, host: str, name: FeatureName) -> None:
    active = "" if found.frac_nonzero is None else f" Active at {found.frac_nonzero:.2%} of its tokens."
    st.caption(plain(f"From {host}, {name.model} {name.layer} {name.index}.{active}"))
    for explanation in found.explanations:
        by = f" ({explanation.explanationModelName})" if explanation.explanationModelName else ""
        text = explanation.description or ""
        st.caption(plain(f"“{text if len(text) <= 500 else text[:500] + '…'}”{by}"))
    n = min(8, max(len(found.pos_str), len(found.neg_str)))
    if n:
        table = pd.DataFrame(
            {
                "raises": pd.Series([pretty_token(t) for t in found.pos_str[:n]]),
                "by": pd.Series(found.pos_values[:n], dtype=float),
                "lowers": pd.Series([pretty_token(t) for t in found.neg_str[:n]]),
                "by ": pd.Series(found.neg_values[:n], dtype=float),
            }
        )
        value = st.column_config.NumberColumn(format="%+.2f", width=70)
        st.dataframe(
            table,
            hide_index=True,
            alt=f"tokens that it raises and lowers, as {host} says",
            column_config={"by": value, "by ": value},
        )
    kinds = {"Largest": found.activations, "Of each size": found.of_each_size()}
    kinds = {kind: list_ for kind, list_ in kinds.items() if list_}
    if not kinds:
        st.caption("It has no examples.")
        return
    chosen = st.segmented_control(
        "Which examples of Neuronpedia",
        list(kinds),
        key=f"public_examples_{name.layer}_{name.index}",
        default=next(iter(kinds)),
        label_visibility="collapsed",
    )
    for number, example in enumerate(kinds[chosen or next(iter(kinds))][:SHOWN]):
        token_strip(
            example.tokens,
            None,
            key=f"public_example_{number}",
            label=f"example of {host}, peak {example.peak:.3g}",
            values=example.values,
        )

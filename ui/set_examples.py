"""What a transcoder set's own files say of a feature: examples and tokens, as its authors collected them."""

import streamlit as st

from tracer import ReplacementModel, TracerError
from tracer.dashboards import feature_files
from ui.graph_canvas import pretty_token
from ui.sidebar import plain, sentence
from ui.token_strip import token_strip

SHOWN = 4  # examples of each list
MOST_TOKENS = 120  # of an example


def set_examples(model: ReplacementModel, layer: int, feature: int) -> None:
    """Nothing for neurons, or for a set that comes without such files."""
    folder = feature_files.folder_of(model.basis)
    if folder is None:
        return
    try:
        found = feature_files.read(folder, layer, feature)
    except TracerError as problem:
        st.caption(sentence(problem))
        return
    if found is None:
        return
    st.markdown(
        "**In the set's own files**", help="From the folder features of the set, as circuit-tracer's pages read it."
    )
    if found.activation_frequency is not None:
        st.caption(f"Active at {found.activation_frequency:.2%} of its authors' tokens.")
    for word, tokens in (("Raises", found.top_logits), ("Lowers", found.bottom_logits)):
        if tokens:
            st.caption(plain(f"{word}: {' · '.join(pretty_token(token) for token in tokens[:10])}"))
    lists = {quantile.quantile_name: quantile.examples for quantile in found.examples_quantiles if quantile.examples}
    if not lists:
        return
    chosen = st.selectbox("Examples", list(lists), key=f"set_examples_{layer}_{feature}")
    for number, example in enumerate(lists[chosen][:SHOWN]):
        peak = max(range(len(example.tokens)), key=lambda i: abs(example.tokens_acts_list[i]), default=0)
        first = max(0, min(peak - MOST_TOKENS // 2, len(example.tokens) - MOST_TOKENS))
        span = slice(first, first + MOST_TOKENS)
        token_strip(
            example.tokens[span],
            None,
            key=f"set_example_{number}",
            label=f"example {number + 1} of {chosen}",
            values=example.tokens_acts_list[span],
        )

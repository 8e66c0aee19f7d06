"""Try a feature on a text: its activation at each token of a sentence that somebody types."""

import streamlit as st

from service import Service
from tracer import ReplacementModel, TracerError
from ui.feature_facts import record_of
from ui.graph_canvas import pretty_token
from ui.sidebar import plain, sentence
from ui.token_strip import token_strip

MOST_CHARACTERS = 4000


def try_text(service: Service, model: ReplacementModel, layer: int, feature: int) -> None:
    """The text stays while other features are looked at."""
    state = st.session_state
    state.setdefault("try_text", state.get("tried_text", ""))
    text = st.text_input(
        "Try on text",
        key="try_text",
        placeholder="a sentence: where is this feature active in it?",
        help="Runs the model on it, in one pass. Enter shows the activation at each token.",
    )
    state["tried_text"] = text
    if text:
        with st.container():
            _show(service, model, layer, feature, text)


def _show(service: Service, model: ReplacementModel, layer: int, feature: int, text: str) -> None:
    most = service.settings.max_tokens
    try:
        if not text.strip():
            raise TracerError("there is nothing but white space: type some words")
        if len(text) > MOST_CHARACTERS:
            raise TracerError(f"{len(text):,} characters; the limit is {MOST_CHARACTERS:,}: shorten the text")
        ids = model.token_ids(text)
        if len(ids) > most:
            raise TracerError(f"{len(ids):,} tokens; the limit is {most:,} (HYPOGRAPH_MAX_TOKENS): shorten the text")
        record = record_of(model, ids)
    except TracerError as refusal:
        st.warning(sentence(refusal))
        return
    values = model.activations(record, layer, feature).tolist()
    excluded = model.excluded_positions(ids)
    tokens = [model.token_text(id) for id in ids]
    token_strip(
        tokens,
        ids,
        key="tried",
        label="Activation of this feature at each token of your text",
        special=excluded,
        values=values,
    )
    counted = [p for p in range(len(ids)) if p not in set(excluded)]
    if not counted:
        return
    peak = max(counted, key=lambda p: abs(values[p]))
    words = f"Strongest: {values[peak]:.3g} at {pretty_token(tokens[peak])} ({peak})."
    if excluded:
        words += " Tokens with a dashed border don't count: no graph has feature nodes there."
    st.caption(plain(words))

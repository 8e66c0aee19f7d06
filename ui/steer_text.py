"""Text under edits, token by token, beside the text without them."""

from collections.abc import Sequence

import streamlit as st

from tracer import Edit, ReplacementModel, Sampling, TracerError
from ui.sidebar import plain
from ui.steer_draft import Steering

MOST = 100


def text_under_edits(model: ReplacementModel, wanted: Steering, edits: Sequence[Edit]) -> None:
    length, heat, seed, go = st.columns([2, 2, 2, 2], vertical_alignment="bottom")
    n = length.number_input("Tokens", 1, MOST, 20, key="steer_n_tokens")
    temperature = heat.number_input(
        "Temperature", 0.0, 5.0, 0.0, 0.1, key="steer_temperature", help="0: always the likeliest token"
    )
    luck = seed.number_input("Seed", 0, 2**31, 0, key="steer_seed", help="The same for both texts.")
    asked = repr((wanted.tokens, list(edits), wanted.protocol, wanted.layers, n, temperature, luck))
    pressed = go.button("Generate", key="steer_generate", type="primary", width="stretch")
    kept = st.session_state.get("steer_texts")
    columns = [column.container(border=True) for column in st.columns(2)]
    slots = []
    for column, name in zip(columns, ("Without edits", "With edits"), strict=True):
        column.markdown(f"**{name}**")
        slots.append(column.empty())
    if pressed:
        texts = ["", ""]
        try:
            for token in model.generate(
                tokens=list(wanted.tokens),
                conditions=[[], list(edits)],
                protocol=wanted.protocol,
                layers=wanted.layers,
                n_tokens=int(n),
                sampling=Sampling(float(temperature), seed=int(luck)),
            ):
                texts[token.condition] += model.token_text(token.id)
                slots[token.condition].text(texts[token.condition])
        except TracerError as problem:
            st.error(f"{plain(str(problem)[:1].upper() + str(problem)[1:])}.")
            return
        st.session_state["steer_texts"] = (asked, texts)
    elif kept is not None and kept[0] == asked:
        for slot, text in zip(slots, kept[1], strict=True):
            slot.text(text)
    else:
        for slot in slots:
            slot.caption("Press Generate.")
    st.caption("On the prompt the edits act under the protocol; rows that go “onward” act on generated tokens too.")

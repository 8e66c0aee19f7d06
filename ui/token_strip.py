"""A prompt's tokens as chips, shaded by a value a token where one is given."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from ui.graph_canvas import pretty_token

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "hypograph_token_strip",
    js=(_FOLDER / "token_strip.js").read_text("utf-8"),
    css=(_FOLDER / "token_strip.css").read_text("utf-8"),
)


def token_strip(
    tokens: Sequence[str],
    ids: Sequence[int] | None,
    *,
    key: str,
    label: str,
    special: Sequence[int] = (),
    values: Sequence[float] = (),
) -> None:
    """`ids` where they are known; `special` are positions drawn with a dashed border; `values` one number a token, or
    none at all."""
    titles = [
        f"position {i}" + ("" if ids is None else f", id {ids[i]}") + (", special token" if i in special else "")
        for i in range(len(tokens))
    ]
    data = {
        "tokens": [pretty_token(t) for t in tokens],
        "special": list(special),
        "values": [float(v) for v in values],
        "titles": titles,
        "label": label,
    }
    _component(key=key, data=data)

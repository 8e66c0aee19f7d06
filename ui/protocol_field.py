"""The protocol of an edit as a field, and its layers where it has some."""

import streamlit as st

from tracer import ReplacementModel
from tracer.steering.protocols import PROTOCOLS

Held = tuple[str, tuple[int, int] | None]
"""A protocol, and its layers (a, b), b not included."""


def protocol_field(model: ReplacementModel, now: Held, page: str, tag: str) -> Held:
    """`page`, `tag`: in the keys of its widgets."""
    names = list(PROTOCOLS)
    chosen = st.segmented_control(
        "Protocol: what is held", names, default=now[0], key=f"{page}_protocol_{tag}", required=True
    )
    name = chosen or now[0]
    st.caption(PROTOCOLS[name])
    with st.container():
        if name != "constrained":
            return name, None
        n = model.n_layers
        first, end = now[1] or (0, n)
        held = st.slider(
            "Layers whose MLP outputs are held",
            0,
            n - 1,
            (min(first, n - 1), min(end, n) - 1),
            key=f"{page}_layers_{tag}",
        )
        return name, (held[0], held[1] + 1)

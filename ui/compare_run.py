"""Run a comparison: each column's text, then what each says of the others'. Kept until something is asked anew."""

from collections.abc import Sequence

import streamlit as st

from tracer import Sampling
from tracer.steering.compare import compare
from ui.compare_cases import Ready
from ui.compare_columns import Comparison
from ui.compare_sheet import Sheet, sheet


def run(wanted: Comparison, columns: Sequence[Ready]) -> Sheet:
    """With a bar, and a button that stops it: a click on anything ends this run of the page. Raises TracerError."""
    sampling = Sampling(wanted.temperature, seed=wanted.seed)
    bar, stop = st.columns([5, 1], vertical_alignment="center")
    line = bar.empty()
    slot = stop.empty()
    slot.button("Cancel", key="compare_cancel", on_click=_cancelled, width="stretch")
    generated, steps = [], len(columns) * (wanted.n_tokens + 1)
    for at, column in enumerate(columns):
        text: list[int] = []
        for token in column.case.generate(wanted.n_tokens, sampling):
            text.append(token.id)
            done = (at * wanted.n_tokens + token.index + 1) / steps
            line.progress(done, f"column {at + 1} of {len(columns)}: token {token.index + 1}")
        generated.append(text)

    def told(_phase: str, fraction: float) -> None:
        line.progress((steps - len(columns) * (1 - fraction)) / steps, "each text under the other conditions")

    compared = compare([column.case for column in columns], generated, told)
    line.empty()
    slot.empty()
    return sheet(columns, compared, wanted.n_tokens, sampling)


def _cancelled() -> None:
    st.session_state["compare_cancelled"] = True


def result(wanted: Comparison, columns: Sequence[Ready]) -> tuple[Sheet | None, bool]:
    """The last one, if there is one, and whether it is of what stands in the fields. Raises TracerError."""
    models = [(c.case.model.model_fingerprint, c.case.model.basis_fingerprint) for c in columns]
    cases = [(c.name, c.about, c.prompt, c.case.tokens, c.case.edits, c.case.protocol, c.case.layers) for c in columns]
    asked = repr([wanted.n_tokens, wanted.temperature, wanted.seed, models, cases])
    kept: tuple[str, Sheet] | None = st.session_state.get("compared")
    if wanted.asked:
        wanted.asked = False
        if kept is None or kept[0] != asked:
            kept = st.session_state["compared"] = (asked, run(wanted, columns))
    return (None, False) if kept is None else (kept[1], kept[0] == asked)


def last() -> Sheet | None:
    """Whatever stands in the fields."""
    kept: tuple[str, Sheet] | None = st.session_state.get("compared")
    return None if kept is None else kept[1]

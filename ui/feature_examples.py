"""What a feature fires on: stretches of a corpus, shaded by its activation, and how its activation here compares."""

from pathlib import Path

import streamlit as st

from service import Service
from tracer import ReplacementModel
from tracer.dashboards import store
from tracer.dashboards.store import Dashboard, Example
from ui.activation_histogram import activation_histogram
from ui.follow import follow
from ui.token_strip import token_strip

SHOWN = 4  # examples of each list


def examples(service: Service, model: ReplacementModel, layer: int, feature: int, activation: float) -> None:
    share = service.dashboards()
    if share is None:
        if not follow(lambda: _before_the_first(service)):
            st.caption("What it fires on is not known: `python -m tracer dashboards` collects it.")
        return
    folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    found = store.read(folder, layer, feature)
    st.markdown(
        "**What it fires on**",
        help="Stretches of a corpus around its largest activations. The corpus that comes along was written by"
        " gemma-3-270m itself; `python -m tracer dashboards FILE` takes your own.",
    )
    if share < 1 and not follow(lambda: _under_way(service, folder, waiting=found is None)):
        st.caption(f":material/hourglass_empty: {share:.0%} of the corpus read so far.")
    if found is None:
        return
    st.caption(_place(found, activation))
    activation_histogram(found, activation)
    kinds = {"Largest": found.top, "Most negative": found.low, "Of each size": found.intervals}
    kinds = {name: list_ for name, list_ in kinds.items() if list_}
    if not kinds:
        st.caption("Nothing in the corpus so far makes it active.")
        return
    default = "Most negative" if activation < 0 and found.low else next(iter(kinds))
    chosen = st.segmented_control(
        "Which examples", list(kinds), key=f"examples_{layer}_{feature}", default=default, label_visibility="collapsed"
    )
    for number, example in enumerate(kinds.get(chosen or default, [])[:SHOWN]):
        _strip(model, example, f"example_{number}")


def _before_the_first(service: Service) -> str | None:
    if not service.collects_dashboards() or service.dashboards() is not None:
        return None
    return ":material/hourglass_empty: What it fires on will be collected while nothing else is to be done."


def _under_way(service: Service, folder: Path, waiting: bool) -> str | None:
    """How far they are; None once there is more to show: all, or, where the card is `waiting`, the first of them."""
    share = service.dashboards()
    if share is None or not service.collects_dashboards() or (waiting and store.read_meta(folder) is not None):
        return None
    return f":material/hourglass_empty: {share:.0%} of the corpus read so far."


def _place(found: Dashboard, activation: float) -> str:
    """Its activation here among those of the corpus."""
    share = found.rank(activation)
    size = "negative" if activation < 0 else "positive"
    seen = f"of {found.n_sampled:,} tokens of the corpus"
    if share == 0:
        text = f"Here {activation:.3g}: none {seen} is surely larger ({size})"
    else:
        text = f"Here {activation:.3g}: {share:.2%} {seen} are surely larger ({size})"
    return f"{text}. Active at {found.density:.2%} of tokens."


def _strip(model: ReplacementModel, example: Example, key: str) -> None:
    token_strip(
        [model.token_text(id) for id in example.token_ids],
        example.token_ids,
        key=key,
        label=f"example, peak {example.value:.3g}",
        values=example.values,
    )

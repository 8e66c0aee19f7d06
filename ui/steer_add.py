"""Add a feature to what is steered: found by words, or by its numbers."""

import streamlit as st

from lab import SteeredNode, SteeredRow
from service import Service
from tracer import Graph, ReplacementModel, TracerError
from ui.graph_canvas import pretty_token
from ui.sidebar import plain
from ui.steer_draft import START, Steering
from ui.steer_find import Found, find
from ui.steer_rows import guarded
from ui.steer_run import kept


def add_feature(service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering) -> None:
    last = max(len(wanted.tokens) - 1, 0)
    search = st.text_input(
        "Search",
        key="steer_find",
        placeholder="label, word, L13 or 13/1012",
        help="Labels of the lab; nodes of this prompt's graph, by token too; features of the graph that push a word;"
        " and those that fire on it in the corpus, where that was read.",
        autocomplete="off",
    )
    if search:
        asked = repr((search, wanted.graph, model.model_fingerprint, model.basis_fingerprint))
        found = kept("steer_found", asked, lambda: find(service, model, wanted.graph, graph, search))
        _found(model, wanted, found, search, last)
        st.divider()
    _by_numbers(model, wanted, last)


def _found(model: ReplacementModel, wanted: Steering, found: list[Found], search: str, last: int) -> None:
    if not found:
        st.caption(f"Nothing is known by {plain(search)}.")
        return
    chosen = st.selectbox(
        f"{len(found)} found",
        range(len(found)),
        key=f"steer_found_{hash(search)}",
        format_func=lambda n: f"L{found[n].layer} · {found[n].feature}: {found[n].why}",
    )
    one = found[chosen]
    position = last if one.position is None else min(one.position, last)
    place = st.selectbox(
        "At",
        range(last + 1),
        index=position,
        key=f"steer_found_at_{hash(search)}_{chosen}_{last}",
        format_func=lambda at: f"{pretty_token(model.token_text(wanted.tokens[at]))} ({at})" if wanted.tokens else "",
    )
    st.button(
        "Add it",
        key="steer_add_found",
        type="primary",
        on_click=guarded,
        args=(lambda: _add(wanted, one.layer, one.feature, int(place)),),
        disabled=not wanted.tokens,
    )


def _by_numbers(model: ReplacementModel, wanted: Steering, last: int) -> None:
    layers, features, positions = st.columns(3)
    layer = layers.number_input("Layer", 0, model.n_layers - 1, key="steer_add_layer")
    feature = features.number_input(
        "Feature",
        0,
        model.basis.n_features - 1,
        key="steer_add_feature",
        help=f"{model.basis.n_features:,} in each layer",
    )
    position = positions.number_input(
        "Position", 0, last, last, key=f"steer_add_position_{last}", help="Its token's place"
    )
    st.button(
        "Add",
        key="steer_add",
        type="primary",
        on_click=guarded,
        args=(lambda: _add(wanted, int(layer), int(feature), int(position)),),
        disabled=not wanted.tokens,
    )


def _add(wanted: Steering, layer: int, feature: int, position: int) -> None:
    """Raises TracerError for one that is there: two rows of it would add up, which nobody who clicks twice wants."""
    node = SteeredNode(layer=layer, position=position, feature=feature)
    name = f"L{layer} · {feature} @ {position}"
    there = next((row.name for row in wanted.rows if node in row.nodes), None)
    if there is not None:
        raise TracerError(f"{name} is in the row {there} already: change that one")
    wanted.add(SteeredRow(name=name, nodes=(node,), amount=START))

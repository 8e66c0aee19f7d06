"""Suggested groups of pinned features: each says why; a person accepts, renames, or refuses."""

import streamlit as st

from service import Service
from tracer import Graph, ReplacementModel
from tracer.dashboards import store
from tracer.graph.suggest import Evidence, Suggestion, spread_of, suggest
from ui.circuit_draft import Draft
from ui.circuit_panel import said
from ui.feature_facts import made_by, record_of
from ui.node_words import short_name
from ui.sidebar import plain
from ui.slot import clear_rest

KINDS = {
    "dictionary": "one token",
    "say": "says a target",
    "relationship": "across the prompt",
    "semantic": "reads a token",
    "profile": "alike in the graph",
}
MOST = 100  # features that are looked at: each costs some 40 ms the first time
SHOWN = 6  # names of members


def suggestions(service: Service, graph: Graph, draft: Draft, known: list[str]) -> None:
    """Of the pinned features that are in no group. `known`: the pins that this graph has."""
    grouped = {node for group in draft.body.groups for node in group.nodes}
    free = [graph.index[id] for id in known if id not in grouped]
    free = [node for node in free if node < graph.layout.n_features][:MOST]
    if not st.toggle(
        "Suggest groups",
        key="suggest_groups",
        help="Rules on where each feature peaks, what it says and where it is active; then features of one position"
        " with the same paths through the graph. Nothing changes until you accept.",
    ):
        st.empty()  # in the place of what was there: see ui/slot.py
        return
    with st.container():
        _found(service, graph, draft, free)


def _found(service: Service, graph: Graph, draft: Draft, free: list[int]) -> None:
    refused = st.session_state.setdefault("refused_groups", set())
    note, found = "", []
    if len(free) < 2:
        note = "Pin two features or more that are in no group yet: then there is something to suggest."
    else:
        evidence = _evidence(service, graph, free)
        found = [one for one in suggest(graph, free, evidence) if _name(graph, draft, one) not in refused]
        if not found:
            note = f"Nothing more to suggest among {len(free)} features: no two have enough in common."
        elif not evidence:
            note = "The model of this graph is not loaded, so only the graph itself is looked at."
    st.caption(note)
    st.button(
        "Show refused ones again",
        key="unrefuse",
        disabled=not refused,
        on_click=refused.clear,
        type="tertiary",
    )
    for number, suggestion in enumerate(found):
        _one(graph, draft, suggestion, f"{number}_{len(draft.past)}_{len(refused)}")
    clear_rest("circuit_suggestion_places", 2 + len(found))


def _one(graph: Graph, draft: Draft, suggestion: Suggestion, key: str) -> None:
    with st.container(border=True):
        names = [short_name(graph, node) for node in suggestion.nodes]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        name = st.text_input(
            f"{KINDS[suggestion.kind]}: {len(names)} nodes",
            value=suggestion.name,
            key=f"suggested_{key}",
            max_chars=300,
        )
        st.caption(f"{plain(', '.join(names[:SHOWN]))}{more}. Why: {plain(suggestion.why)}.")
        row = st.container(horizontal=True, gap="small")
        ids = [graph.ids[node] for node in suggestion.nodes]
        row.button(
            "Accept",
            key=f"accept_{key}",
            on_click=lambda: said(lambda: draft.group(st.session_state[f"suggested_{key}"], ids)),
            disabled=not name.strip(),
        )
        row.button(
            "Refuse",
            key=f"refuse_{key}",
            on_click=st.session_state["refused_groups"].add,
            args=(_name(graph, draft, suggestion),),
        )


def _name(graph: Graph, draft: Draft, suggestion: Suggestion) -> tuple[str, ...]:
    """What is refused: these very nodes of this graph."""
    return (draft.graph, *(graph.ids[node] for node in suggestion.nodes))


def _evidence(service: Service, graph: Graph, nodes: list[int]) -> dict[int, Evidence]:
    """Empty without the model."""
    model = service.model
    if model is None or not made_by(model, graph):
        return {}
    with st.spinner("Looking at what these features say and fire on…"):
        return {node: _of(service, model, graph, node) for node in nodes}


def _of(service: Service, model: ReplacementModel, graph: Graph, node: int) -> Evidence:
    layer, feature = int(graph.layout.layer[node]), int(graph.layout.feature[node])
    negative = graph.activation[node] < 0
    raised, lowered = service.facts.says(model, layer, feature)
    activations = model.activations(record_of(model, graph.token_ids), layer, feature).numpy()
    folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    found = store.read(folder, layer, feature)
    examples = [] if found is None else found.low if negative else found.top
    return Evidence(
        peaks=tuple(model.token_text(example.token_ids[example.peak]) for example in examples),
        spread=spread_of(activations, graph.meta["excluded"]),
        raises=tuple(text for text, _ in (lowered if negative else raised)),
    )

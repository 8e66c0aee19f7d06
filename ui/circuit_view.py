"""The circuit drawn: supernodes and single nodes, merged edges, scores; and the groups, made and changed."""

import numpy as np
import streamlit as st

from service import Service
from tracer import Graph
from tracer.graph.circuit import Circuit, circuit_scores, condense
from ui.circuit_draft import Draft
from ui.circuit_drawing import LEVEL, MOST_DRAWN, Arrow, Spot, draw_circuit
from ui.circuit_panel import said
from ui.circuit_suggest import suggestions
from ui.node_words import short_name
from ui.selection import Selection
from ui.sidebar import plain
from ui.slot import clear_rest

WEAKEST = 0.01  # share of the target's input below which an edge is not drawn
GAP = 180.0  # units between the middles of neighbours
ASIDE = 60.0  # of every other row: else an edge between rows runs through the nodes in between
STEP = 55.0  # pixels of one move
MOVES = {"←": ("left", -1, 0), "→": ("right", 1, 0), "↑": ("up", 0, -1), "↓": ("down", 0, 1)}


def circuit_view(service: Service, graph: Graph, draft: Draft, selection: Selection) -> None:
    known = [id for id in draft.body.pins if id in graph.index]
    if not known:
        return
    # no expander: what is mounted in a closed one is drawn without a size
    if not st.toggle("Draw the circuit, and make groups", key="draw_circuit"):
        st.empty()  # in the place of what was there: see ui/slot.py
        return
    with st.container(border=True):
        names, supernodes = _supernodes(graph, draft, known)
        circuit = condense(graph, [[graph.index[id] for id in supernode] for supernode in supernodes])
        _scores(graph, known)
        with st.container():
            for entangled in circuit.cycles:
                st.warning(
                    f"{plain(', '.join(names[i] for i in entangled))} feed one another in a circle, so none comes"
                    " first. Split a group by layer."
                )
            clear_rest("circuit_cycles_places", len(circuit.cycles))
        places = _places(graph, supernodes, draft.body.positions)
        chosen = _draw(names, supernodes, circuit, places)
        if chosen is not None and chosen != selection.id and chosen != st.session_state.get("circuit_chosen"):
            st.session_state["circuit_chosen"] = chosen
            selection.choose(chosen)
            st.rerun(scope="fragment")
        with st.container():
            _move(draft, selection, names, supernodes, places)
        groups, suggested = st.columns(2, gap="medium")
        with groups:
            _groups(graph, draft, known)
        with suggested:
            suggestions(service, graph, draft, known)


def _supernodes(graph: Graph, draft: Draft, known: list[str]) -> tuple[list[str], list[list[str]]]:
    """Names and members: the groups, then the nodes on their own."""
    groups = [(group.name, [node for node in group.nodes if node in graph.index]) for group in draft.body.groups]
    groups = [(name, nodes) for name, nodes in groups if nodes]
    grouped = {node for _, nodes in groups for node in nodes}
    alone = [(short_name(graph, graph.index[id]), [id]) for id in known if id not in grouped]
    names, members = zip(*(groups + alone)[:MOST_DRAWN], strict=True)
    return list(names), list(members)


def _scores(graph: Graph, known: list[str]) -> None:
    own, pinned = graph.scores(), circuit_scores(graph, [graph.index[id] for id in known])
    st.caption(
        f"Replacement **{pinned[0]:.3f}** of the graph's {own.replacement:.3f} · completeness **{pinned[1]:.3f}** of"
        f" {own.completeness:.3f}: what the graph would explain if these {len(known)} nodes were all that is known, all"
        " other features counted as errors."
    )


def _draw(
    names: list[str], supernodes: list[list[str]], circuit: Circuit, places: list[tuple[float, float]]
) -> str | None:
    """The id of the node that was clicked; of a group its first member."""
    spots = [
        Spot(
            id=members[0],
            label=name[:40].replace(" @ ", "\n@ "),
            title=f"{name}: {len(members)} nodes, influence {influence:.3f}" if len(members) > 1 else name,
            x=x,
            y=y,
            several=len(members) > 1,
        )
        for name, members, influence, (x, y) in zip(names, supernodes, circuit.influence, places, strict=True)
    ]
    arrows = [
        Arrow(
            supernodes[source][0],
            supernodes[target][0],
            float(circuit.flow[target, source]),
            f"{circuit.effect[target, source]:+.3g} in all",
        )
        for target, source in zip(*np.nonzero(abs(circuit.flow) >= WEAKEST), strict=True)
    ]
    found = draw_circuit(spots, arrows)
    st.caption("An edge: the signed share of the target's input (dashed: negative). Click a node to select it.")
    return found


def _places(
    graph: Graph, supernodes: list[list[str]], moved: dict[str, tuple[float, float]]
) -> list[tuple[float, float]]:
    """Layers upward, tokens to the right, each by where its members are on average; neighbours in a row keep apart.

    `moved`: where a person put them, by the first member.
    """
    layer, position = graph.layout.node_layer, graph.layout.node_position
    rows = [round(float(np.mean([layer[graph.index[id]] for id in nodes]))) for nodes in supernodes]
    columns = [float(np.mean([position[graph.index[id]] for id in nodes])) for nodes in supernodes]
    levels = {row: level for level, row in enumerate(sorted(set(rows)))}
    steps = {column: step for step, column in enumerate(sorted(set(columns)))}  # no room for tokens without nodes
    places, end = [(0.0, 0.0)] * len(supernodes), dict.fromkeys(rows, -np.inf)
    for at in sorted(range(len(supernodes)), key=lambda at: (rows[at], columns[at])):
        x = max(steps[columns[at]] * GAP + levels[rows[at]] % 2 * ASIDE, end[rows[at]] + GAP)
        end[rows[at]] = x
        places[at] = (float(x), -LEVEL * levels[rows[at]])
    return [moved.get(members[0], place) for members, place in zip(supernodes, places, strict=True)]


def _move(
    draft: Draft,
    selection: Selection,
    names: list[str],
    supernodes: list[list[str]],
    places: list[tuple[float, float]],
) -> None:
    """Move the selected supernode in the drawing: streamlit-agraph doesn't tell where one was dragged to."""
    at = next((i for i, members in enumerate(supernodes) if selection.id in members), None)
    if at is None:
        st.caption("Select one of these nodes to move it in the drawing.")
    else:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"Move {plain(names[at][:40])}", width="content")
            for sign, (word, x, y) in MOVES.items():
                place = (places[at][0] + x * STEP, places[at][1] + y * STEP)
                st.button(
                    sign,
                    key=f"move_{word}",
                    help=f"Move {word}",
                    on_click=lambda place=place: said(
                        lambda: draft.set(positions=draft.body.positions | {supernodes[at][0]: place})
                    ),
                )
    moved = bool(draft.body.positions)
    if moved:
        st.button(
            "Arrange by layer and token again",
            key="rearrange",
            type="tertiary",
            on_click=lambda: draft.set(positions={}),
        )
    clear_rest("circuit_move_places", 1 + moved)


def _groups(graph: Graph, draft: Draft, known: list[str]) -> None:
    names = {id: short_name(graph, graph.index[id]) for id in known}
    chosen = st.multiselect(
        "Nodes to group",
        known,
        key=f"to_group_{len(draft.past)}",
        format_func=lambda id: names[id],
        help="Nodes that are in a group already move to the new one.",
    )
    title = st.text_input("Name of the group", key=f"group_name_{len(draft.past)}", max_chars=300)
    st.button(
        "Group",
        key="make_group",
        disabled=len(chosen) < 2 or not title.strip(),
        on_click=lambda: said(lambda: draft.group(title, chosen)),
    )
    with st.container():
        _made(draft)


def _made(draft: Draft) -> None:
    """The groups that there are: their names can be changed, and each can be dissolved."""
    for at, group in enumerate(draft.body.groups):
        key = f"group_{at}_{len(draft.past)}"
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.text_input(
                f"Group {at + 1}: {len(group.nodes)} nodes",
                value=group.name,
                key=key,
                max_chars=300,
                on_change=lambda nodes=group.nodes, key=key: said(lambda: draft.rename(nodes, st.session_state[key])),
            )
            st.button(
                "✕",
                key=f"dissolve_{at}",
                help="Dissolve the group; its nodes stay pinned",
                on_click=lambda nodes=group.nodes: said(lambda: draft.dissolve(nodes)),
            )
    clear_rest("circuit_groups_places", len(draft.body.groups))

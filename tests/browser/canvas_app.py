"""A page with nothing but the graph canvas and a synthetic graph, for tests/browser/test_canvas*.py.

It needs the repository's root on PYTHONPATH.

Query parameter: `graph` = small | large | huge | hostile | bias | hand.
"""

import json
import random
from typing import Any

import streamlit as st

from ui.graph_canvas import graph_canvas

PROMPT = ["<bos>", "Michael", " Jordan", " plays", " the", " sport", " of"]
LOGITS = [("basketball", 0.758), ("football", 0.061), ("golf", 0.034), ("baseball", 0.027), ("hockey", 0.012)]
MARKUP = "<img src=x onerror=\"document.title='owned'\">"


@st.cache_data
def synthetic(
    tokens: list[str],
    logits: list[tuple[str, float]],
    n_layers: int,
    n_middle: int,
    n_edges: int,
    with_bias: bool = False,
) -> dict[str, Any]:
    """A random graph with `n_middle` feature and error nodes, denser at the end of the prompt as real ones are."""
    chance = random.Random(0)
    end = len(tokens) - 1
    rows: list[tuple[str, int, int, int, str, float | None]] = []  # id, kind, layer, position, label, probability
    rows += [(f"e{p}", 2, -1, p, token, None) for p, token in enumerate(tokens)]
    if with_bias:
        rows += [(f"b{layer}", 4, layer, -1, "", None) for layer in (-1, *range(n_layers), n_layers)]
    for i in range(n_middle):
        position = min(end, int((1 - chance.random() ** 1.6) * (len(tokens) - 1)) + 1)
        rows.append((f"n{i}", int(chance.random() < 0.12), chance.randrange(n_layers), position, "", None))
    rows += [(f"l{i}", 3, n_layers, end, text, p) for i, (text, p) in enumerate(logits)]
    ids, kinds, layers, positions, labels, probabilities = (list(column) for column in zip(*rows, strict=True))
    order = sorted(range(len(rows)), key=lambda i: layers[i])
    edges: list[tuple[int, int, float]] = []
    while len(edges) < n_edges:
        a, b = sorted(chance.sample(range(len(order)), 2))
        source, target = order[a], order[b]
        if layers[source] < layers[target] and positions[target] >= 0 and positions[source] <= positions[target]:
            edges.append((source, target, round(chance.choice((1, 1, -1)) * chance.random() ** 6, 4)))
    return {
        "rev": "full",
        "tokens": tokens,
        "n_layers": n_layers,
        "nodes": {
            "id": ids,
            "kind": kinds,
            "layer": layers,
            "position": positions,
            "label": labels,
            "value": [round(chance.lognormvariate(1, 1), 3) for _ in rows],
            "influence": [round(0.08 * chance.random() ** 5, 6) for _ in rows],
            "probability": probabilities,
        },
        "edges": dict(zip(("source", "target", "share"), (list(c) for c in zip(*edges, strict=True)), strict=True)),
    }


def by_hand() -> dict[str, Any]:
    """A graph whose paths, links and hidden nodes can be counted by hand."""
    rows = [  # id, kind, layer, position, label, influence, at how many positions
        ("e1", 2, -1, 1, " Paris", 0.3, 0),
        ("e3", 2, -1, 3, " France", 0.1, 0),
        ("a", 0, 0, 1, "L0 · 7 @ ␣Paris (1)", 0.2, 2),
        ("a2", 0, 0, 3, "L0 · 7 @ ␣France (3)", 0.15, 2),
        ("b", 0, 0, 3, "L0 · 8 @ ␣France (3)", 0.25, 1),
        ("c", 0, 1, 3, "L1 · 9 @ ␣France (3)", 0.4, 1),
        ("d", 0, 2, 3, "L2 · 5 @ ␣France (3)", 0.05, 1),
        ("x1", 1, 1, 3, "L1 · error @ ␣France (3)", 0.1, 0),
        ("x2", 1, 2, 3, "L2 · error @ ␣France (3)", 0.1, 0),
        ("bias1", 4, 1, -1, "bias: layer 1", 0.0, 0),
        ("l0", 3, 3, 3, " capital", 1.0, 0),
    ]
    ids, kinds, layers, positions, labels, influence, at = (list(column) for column in zip(*rows, strict=True))
    links = [("e1", "a", 0.5), ("e1", "b", -0.4), ("a", "c", 0.5), ("b", "c", 0.9), ("c", "l0", 0.6), ("a", "l0", 0.2)]
    links += [("b", "l0", -0.1), ("e1", "l0", 0.05), ("c", "d", 0.1), ("d", "l0", 0.1), ("e3", "a2", 0.7)]
    links += [("x1", "l0", 0.3), ("x2", "l0", -0.25), ("bias1", "c", 0.02)]
    return {
        "rev": "by hand",
        "tokens": ["<bos>", " Paris", " is", " France"],
        "n_layers": 3,
        "feature_positions": 4,
        "file_name": "by-hand",
        "credit": "Model tiny: Some Terms (https://example.org/terms).",
        "nodes": {
            "id": ids,
            "kind": kinds,
            "layer": layers,
            "position": positions,
            "label": labels,
            "value": [1.0] * len(rows),
            "influence": influence,
            "probability": [0.5 if kind == 3 else None for kind in kinds],
            "positions": at,
            "kept": [0.8 if name == "l0" else 1.0 for name in ids],
        },
        "edges": {
            "source": [ids.index(source) for source, _, _ in links],
            "target": [ids.index(target) for _, target, _ in links],
            "share": [share for _, _, share in links],
        },
    }


def without(graph: dict[str, Any], dropped: str) -> dict[str, Any]:
    """The graph after a pruning that loses one node."""
    nodes, edges = graph["nodes"], graph["edges"]
    kept = [i for i, name in enumerate(nodes["id"]) if name != dropped]
    new = {old: i for i, old in enumerate(kept)}
    inside = [e for e in range(len(edges["share"])) if edges["source"][e] in new and edges["target"][e] in new]
    return graph | {
        "rev": f"without {dropped}",
        "nodes": {name: [column[i] for i in kept] for name, column in nodes.items()},
        "edges": {
            "source": [new[edges["source"][e]] for e in inside],
            "target": [new[edges["target"][e]] for e in inside],
            "share": [edges["share"][e] for e in inside],
        },
    }


GRAPHS: dict[str, dict[str, Any]] = {
    "small": {"n_layers": 6, "n_middle": 40, "n_edges": 200},
    "large": {"n_layers": 18, "n_middle": 988, "n_edges": 10_000},
    "huge": {"n_layers": 26, "n_middle": 1988, "n_edges": 20_000},
    "hostile": {"n_layers": 4, "n_middle": 10, "n_edges": 20},
    "bias": {"n_layers": 18, "n_middle": 250, "n_edges": 1500, "with_bias": True},
}

st.set_page_config(layout="wide")
name = st.query_params.get("graph", "small")
tokens, logits = PROMPT, LOGITS
if name == "hostile":
    tokens, logits = (
        ["<bos>", MARKUP, "\n", "   ", "\u202eolleh", "🏀" * 40],
        [("\n\n", 0.4), (MARKUP, 0.2), ("שלום", 0.1)],
    )
graph = by_hand() if name == "hand" else synthetic(tokens, logits, **GRAPHS[name])

controls = st.container(horizontal=True)
for dropped in ("n0", "n1"):
    if controls.toggle(f"drop {dropped}"):
        graph = without(graph, dropped)
for label, node in (("select n3", "n3"), ("select a stranger", "<b>x</b>")):
    if controls.button(label):
        st.session_state["select"] = {"id": node, "nonce": st.session_state.get("select", {}).get("nonce", 0) + 1}
controls.button("rerun")
if controls.toggle("message above"):
    st.info("One element more above the canvas.")
events = st.session_state.setdefault("events", {"pin": [], "group": [], "join": []})
pins = ["n4", "n5", *(id for ids in events["pin"] for id in ids)]
overlay: dict[str, Any] = {"labels": {"n2": MARKUP if name == "hostile" else "say a sport"}, "pins": pins}
if controls.toggle("label n3"):
    overlay["labels"]["n3"] = "basketball, NBA"
if controls.toggle("hide"):
    st.stop()

selected = graph_canvas(
    graph,
    overlay,
    st.session_state.get("select"),
    key="canvas",
    on_pin=events["pin"].append,
    on_group=events["group"].append,
    on_join=events["join"].append,
)
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.text(f"selected: {selected}")
st.text(f"runs: {st.session_state['runs']}")
for event, told in events.items():
    st.text(f"{event}: {json.dumps(told)}")

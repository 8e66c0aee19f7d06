"""The head of the node card: it follows the canvas in the browser, before the server has answered a click."""

from pathlib import Path
from typing import Any

import streamlit as st

from tracer import Graph
from ui.node_words import FIGURE_HELP, explanation, figures, short_name

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "hypograph_card_head",
    js=(_FOLDER / "card_head.js").read_text("utf-8"),
    css=(_FOLDER / "card_head.css").read_text("utf-8"),
)

NOTHING: dict[str, Any] = {
    "id": None,
    "name": "No node selected",
    "text": "Click a node, or focus the graph and use the arrow keys and Enter. The card shows what feeds it, what it"
    " feeds, and what it says.",
    "figures": [],
}


def card_head(graph: Graph, node: int | None, heard: str | None) -> None:
    """Of `node` as the server knows it, and `heard`, the id that the canvas reported last."""
    shown = NOTHING
    if node is not None:
        shown = {
            "id": graph.ids[node],
            "name": short_name(graph, node),
            "text": explanation(graph, node),
            "figures": figures(graph, node),
        }
    _component(key="card_head", data={"shown": shown, "heard": heard, "empty": NOTHING, "help": FIGURE_HELP})

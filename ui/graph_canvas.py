"""The attribution graph as a canvas: layers × tokens, drawn and explored in the browser.

An inline Components-v2 component. The browser owns selection, hover, zoom, filter, search and the keyboard; Python is
told the selected node, and which to pin, group or join, so a click costs about a kilobyte and hovering nothing. The
graph is sent again only when `data` changes (a new `rev`, overlay or `select`). Knows nothing of models, graphs on disk
or labels: pages hand it columns.
"""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

EMBEDDING, LOGIT = 2, 3  # of the kinds 0 feature, 1 error, 2 embedding, 3 logit, 4 bias
_VISIBLE = {"\n": "⏎", "\r": "␍", "\t": "⇥", " ": "␣", "\u00a0": "␣"}
_FOLDER = Path(__file__).parent
_PARTS = ("layout", "filter", "paths", "words", "draw", "labels", "export", "panels", "tools", "drag", "input", "view")
_SCRIPTS = (*(f"graph_canvas_{part}.js" for part in _PARTS), "graph_canvas.js")  # one module: the last one exports

_component = st.components.v2.component(
    "hypograph_graph_canvas",
    js="\n".join((_FOLDER / name).read_text("utf-8") for name in _SCRIPTS),
    css=(_FOLDER / "graph_canvas.css").read_text("utf-8"),
)


def pretty_token(text: str) -> str:
    """A token with its outer spaces and all line breaks made visible: ' sport' → '␣sport', '\\n' → '⏎'.

    Control characters, lone surrogates and the marks that turn the direction of writing become their code points;
    spaces between letters stay as they are.
    """
    inner = text.strip(" ")
    lead = len(text) - len(text.lstrip(" ")) if inner else len(text)
    tail = len(text) - lead - len(inner)
    return "␣" * lead + "".join(_visible(c) for c in inner) + "␣" * tail


def _visible(character: str) -> str:
    if character != " " and character in _VISIBLE:
        return _VISIBLE[character]
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs") and character != "\u200d"  # U+200D joins emoji
    return f"‹U+{ord(character):04X}›" if hidden else character


def graph_canvas(
    graph: dict[str, Any],
    overlay: dict[str, Any] | None = None,
    select: dict[str, Any] | None = None,
    *,
    key: str,
    height: int = 560,
    on_pin: Callable[[list[str]], None] | None = None,
    on_group: Callable[[list[str]], None] | None = None,
    on_join: Callable[[list[str]], None] | None = None,
) -> str | None:
    """Draw `graph` and return the id of the node that is selected in the browser, or None.

    Args:
        graph: `rev` (str; the browser takes a new graph only with a new `rev`), `tokens` (T strings), `n_layers` (L),
            `nodes` and `edges` as columns. Nodes: `id`, `kind` (0 feature, 1 error, 2 embedding, 3 logit, 4 bias),
            `layer` (−1 for embeddings, 0…L−1, L for logits), `position` (0…T−1; −1 for bias nodes), `label` (may be
            empty), `value` (activation), `influence` (share, 0…1), `probability` (logits, else None). Edges: `source`,
            `target` (indices into the nodes), `share` (signed share of the target's absolute input). For the card's
            head, all or none: `texts` and `figure_names`, and of each node `name`, `text` (index into the texts) and
            `figures` (pairs of an index into the names and a value). To hide features of most tokens, both or none:
            `feature_positions` (int, positions with features) and of each node `positions` (at how many of them the
            same feature of the same layer is a node; 0 for what is no feature). For image files: `file_name` (without
            ending) and `credit` (the model and its terms). Of a pruned graph: `kept` (of each node, the share of its
            input that is kept; 1 for nodes without inputs).
        overlay: `labels` ({id: text}, over the node's own), `pins` (ids, drawn with a ring).
        select: `{"id": str | None, "nonce": int | str}`: a selection from outside (permalink, table, search), obeyed
            once for each nonce; the browser's own clicks count again afterwards.
        key: Streamlit's key of this canvas.
        height: pixels, with the legend.
        on_pin: called with the ids of the selected nodes, one or more, when `p` or its button is pressed.
        on_group: the same for `g`, two or more.
        on_join: called with the ids of nodes that were dragged onto another one, which is the last of the list.

    Returns:
        An id among `graph["nodes"]["id"]`: a browser can send anything, so all else is None, and so is a selected node
        that a new `rev` has dropped (the browser selects it again when it comes back).
    """
    sent = st.session_state.get(f"{key}:sent")
    if sent is None or sent[0] is not graph:  # once a graph: 10,000 edges take 20 ms, a string of them 1
        sent = st.session_state[f"{key}:sent"] = (graph, _encoded(graph))

    def tell(event: str, callback: Callable[[list[str]], None] | None) -> None:
        ids = believed(st.session_state[key].get(event), graph["nodes"]["id"])
        if callback is not None and ids:
            callback(ids)

    state = _component(
        key=key,
        height=height,
        data={"key": key, "rev": graph["rev"], "graph": sent[1], "overlay": overlay, "select": select},
        default={"selected": None},
        on_selected_change=_rerun_only,
        on_pin_change=lambda: tell("pin", on_pin),
        on_group_change=lambda: tell("group", on_group),
        on_join_change=lambda: tell("join", on_join),
    )
    selected = state.get("selected")
    if select is not None and st.session_state.get(f"{key}:nonce") != select["nonce"]:
        # The browser will obey and report it; until then its last report is out of date.
        st.session_state[f"{key}:nonce"] = select["nonce"]
        selected = select["id"]
    return selected if isinstance(selected, str) and selected in graph["nodes"]["id"] else None


def believed(ids: object, known: list[str]) -> list[str]:
    """What a browser reports, if it is a list of known ids; else nothing."""
    if not isinstance(ids, list) or len(ids) > len(known) or not all(isinstance(id, str) for id in ids):
        return []
    return list(dict.fromkeys(ids)) if set(ids) <= set(known) else []


def _encoded(graph: dict[str, Any]) -> str:
    """The graph as JSON, its tokens made visible."""
    nodes = graph["nodes"]
    is_token = [kind in (EMBEDDING, LOGIT) for kind in nodes["kind"]]
    label = [pretty_token(text) if token else text for text, token in zip(nodes["label"], is_token, strict=True)]
    tokens = [pretty_token(token) for token in graph["tokens"]]
    return json.dumps(graph | {"tokens": tokens, "nodes": nodes | {"label": label}})


def _rerun_only() -> None:
    """Streamlit wants a callback for a state with a default; the rerun is all that a selection needs."""

"""The Python side of the graph canvas: what it sends, and what it believes of what comes back."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ui.graph_canvas import believed, pretty_token


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sport", "sport"),
        (" sport", "␣sport"),
        ("a b ", "a b␣"),
        ("   ", "␣␣␣"),
        ("", ""),
        ("\n\n", "⏎⏎"),
        ("\r\n\t", "␍⏎⇥"),
        ("\u00a0x", "␣x"),
        ("\u202eabc\x00", "‹U+202E›abc‹U+0000›"),
        ("\ud800", "‹U+D800›"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    ],
)
def test_pretty_token_shows_what_is_there(text: str, shown: str) -> None:
    assert pretty_token(text) == shown


def page() -> None:
    import streamlit as st

    from ui.graph_canvas import graph_canvas

    nodes = {
        "id": ["e0", "n0", "l0"],
        "kind": [2, 0, 3],
        "layer": [-1, 0, 1],
        "position": [0, 0, 0],
        "label": [" a", " a label", "\n"],
        "value": [1.0, 2.0, 3.0],
        "influence": [0.1, 0.2, 1.0],
        "probability": [None, None, 0.5],
    }
    edges = {"source": [0, 1], "target": [1, 2], "share": [0.5, -0.5]}
    graph = {"rev": "1", "tokens": [" a"], "n_layers": 1, "nodes": nodes, "edges": edges}
    st.text(repr(graph_canvas(graph, select=st.session_state.get("select"), key="g")))


def shown(app: AppTest) -> str:
    assert not app.exception
    return app.text[0].value


def run(app: AppTest, reported: Any, select: dict[str, Any] | None = None) -> str:
    """What graph_canvas returns when the browser reports a selection."""
    app.session_state["g"] = {"selected": reported}
    if select is not None:
        app.session_state["select"] = select
    return shown(app.run())


def test_nothing_is_selected_at_first() -> None:
    assert shown(AppTest.from_function(page).run()) == "None"


def test_only_known_ids_are_believed() -> None:
    app = AppTest.from_function(page).run()
    assert run(app, "n0") == "'n0'"
    for stranger in ("n1", "", "<img src=x>", 0, ["n0"], {"id": "n0"}, True, None):
        assert run(app, stranger) == "None"


def test_select_counts_at_once_and_only_once() -> None:
    app = AppTest.from_function(page).run()
    assert run(app, "n0", {"id": "l0", "nonce": 1}) == "'l0'"
    assert run(app, "e0", {"id": "l0", "nonce": 1}) == "'e0'", "the browser's own click counts again"
    assert run(app, "e0", {"id": None, "nonce": 2}) == "None"
    assert run(app, "e0", {"id": "stranger", "nonce": "link"}) == "None"


@pytest.mark.parametrize(
    ("reported", "believable"),
    [
        (["a", "b"], ["a", "b"]),
        (["b", "a", "b"], ["b", "a"]),
        ([], []),
        (["a", "stranger"], []),
        (["a", "b", "c", "a"], []),  # more than there are nodes
        (["a", 1], []),
        (["a", ["b"]], []),
        ("ab", []),
        ({"a": "b"}, []),
        (None, []),
    ],
)
def test_only_lists_of_known_ids_are_pinned_or_grouped(reported: Any, believable: list[str]) -> None:
    assert believed(reported, ["a", "b", "c"]) == believable

"""Guided demos on the pages, with a made-up one for the tiny model."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers import PROMPT
from tests.pages.conftest import Loading, open_page, ready, running, sound, texts, traced, until
from tracer import Edit
from ui.demo_steps import DEMOS, Demo, Scene, Step
from ui.steer_draft import Steering

LIMITS = "Whether a tiny model means anything."


@pytest.fixture
def made_up(loading: Loading, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A demo of the name "tiny": a graph, and three runs. The ids of its features."""
    open_page()
    key = traced(PROMPT)
    graph = running().graph(key)
    assert graph is not None
    nodes = graph.nodes[(graph.nodes.kind == "feature")].nlargest(3, "influence")
    a, b, c = (str(id) for id in nodes.id)
    scene = Scene(PROMPT, "w3", {"pair": (a, b), "one": (c,)})
    figures = {"place": 1, "before": 0.25}
    steps = (
        Step("Graph", scene, "The first by influence is at {place:.0f}.", LIMITS, select=a, figures=figures),
        Step("Pair", scene, "It was {before:.0%}.", LIMITS, edits={"pair": -2.0}, figures=figures),
        Step("Both", scene, "All.", LIMITS, edits={"pair": 0.0, "one": -1.0}),
        Step("Another", Scene("w1 w2 w5", "w3", {}), "Nothing is pinned.", LIMITS),
    )
    monkeypatch.setattr("ui.demo_bar.MODEL", str(tiny))
    monkeypatch.setitem(DEMOS, "tiny", Demo("tiny", "A made-up demo", "About nothing.", steps))
    return [a, b, c]


def at(app: AppTest, page: str) -> AppTest:
    """AppTest stays where it was when a page switches to another: follow by hand, with the address as it is then."""
    asked = dict(app.query_params)
    app.switch_page(f"pages/{page}.py")
    for name, values in asked.items():
        app.query_params[name] = values
    return sound(app.run())


def address(app: AppTest, name: str) -> str | None:
    """AppTest gives a list of what it was given, and text of what a page wrote."""
    value = app.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def metric(app: AppTest, name: str) -> str:
    return next(m.value for m in app.metric if m.label == name)


def edits(ids: list[str], factor: float) -> list[Edit]:
    return [Edit(int(i), int(p), int(f), factor=factor) for i, f, p in (id.split("_") for id in ids)]


def test_a_demo_is_clicked_through(made_up: list[str]) -> None:
    app = open_page()
    assert "A made-up demo" in texts(app)
    app.button(key="demo_tiny").click().run()
    at(app, "graph")
    said = texts(app)
    assert "step 1 of 4: Graph" in said and "is at 1." in said and LIMITS in said
    assert address(app, "step") == "1"
    assert set(app.session_state["drafts"][address(app, "graph")].body.pins) == set(made_up)
    assert app.button(key="demo_back").disabled

    app.button(key="demo_next").click().run()
    at(app, "steer")
    model = running().model
    assert model is not None
    run = model.steer(PROMPT, edits(made_up[:2], -2.0))
    assert "It was 25%." in texts(app)
    assert metric(app, "Δ logit") == f"{float(run.delta[model.token_id('w3')]):+.2f}"
    assert [t.value for t in app.toggle if t.key.startswith("steer_on_")] == [True, False]

    app.button_group(key=f"steer_protocol_{app.session_state['steering'].id}").set_value("free").run()
    app.button(key="demo_next").click().run()
    assert app.session_state["steering"].protocol == "clamp", "the step's own, not what the fields had before"
    run = model.steer(PROMPT, edits(made_up[:2], 0.0) + edits(made_up[2:], -1.0))
    assert "step 3 of 4: Both" in texts(app)
    assert metric(app, "KL") == f"{run.kl:.3f}"

    app.button(key="demo_back").click().run()
    assert "step 2 of 4" in texts(sound(app))


def test_a_link_selects_the_node_of_its_step(made_up: list[str]) -> None:
    app = open_page("pages/graph.py", demo="tiny", step="1")
    assert (address(app, "select"), address(app, "step")) == (made_up[0], "1")
    layer, feature, _ = made_up[0].split("_")
    assert f"L{layer}" in texts(app) and feature in texts(app)


def test_a_link_leads_to_a_step_and_its_graph_is_traced_on_the_way(made_up: list[str]) -> None:
    app = open_page("pages/library.py", demo="tiny", step="4")
    until(lambda: all(job.over for job in running().jobs()))
    sound(app.run())
    at(app, "graph")
    assert "step 4 of 4: Another" in texts(app) and "Nothing pinned yet" in texts(app)
    graph = running().graph(address(app, "graph") or "")
    assert graph is not None and graph.meta["prompt"] == "w1 w2 w5"
    assert app.button(key="demo_next").disabled


def test_the_bar_goes_along_and_ends_with_what_was_steered_before(made_up: list[str]) -> None:
    before = Steering(prompt="w1")
    app = open_page("pages/steer.py")
    app.session_state["steering"] = before
    app.query_params["demo"], app.query_params["step"] = "tiny", "2"
    sound(app.run())
    assert app.session_state["steering"] is not before and "step 2 of 4" in texts(app)
    app.switch_page("pages/system.py")
    sound(app.run())
    assert "step 2 of 4" in texts(app) and address(app, "demo") == "tiny"
    app.button(key="demo_end").click().run()
    assert app.session_state["steering"] is before and "demo" not in app.query_params
    assert "step 2 of 4" not in texts(sound(app.run()))


@pytest.mark.parametrize(
    ("demo", "step", "says"),
    [
        ("nothing", "1", "There is no demo “nothing”; there are"),
        ("tiny", "5", "The demo tiny has no step “5”; its steps are 1 to 4"),
        ("tiny", "0", "has no step “0”"),
        ("tiny", "<b>", "has no step “<b>”"),
    ],
)
def test_what_is_no_step_is_said(made_up: list[str], demo: str, step: str, says: str) -> None:
    app = open_page("pages/system.py", demo=demo, step=step)
    assert says in texts(app) and "demo" not in app.query_params
    assert "tiny" in texts(app)


def test_another_model_is_told_which_one_a_demo_is_about(made_up: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.demo_bar.MODEL", "another")
    app = open_page(demo="tiny", step="2")
    assert "This demo is about another and its neurons" in texts(app) and not app.metric


def test_weights_with_other_features_are_told(made_up: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(PROMPT, "w3", {"pair": ("0_99999_1",)})
    monkeypatch.setitem(DEMOS, "odd", Demo("odd", "Odd", "Odd.", (Step("One", scene, "One.", LIMITS),)))
    app = open_page(demo="odd", step="1")
    assert "1 features of this demo are no nodes of the graph, 0_99999_1" in texts(app)


def test_while_the_model_is_prepared_a_demo_waits(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    loading.go.clear()
    step = Step("One", Scene("w1", "w3", {}), "One.", LIMITS)
    monkeypatch.setitem(DEMOS, "tiny", Demo("tiny", "Tiny", "Tiny.", (step,)))
    app = open_page(demo="tiny")
    assert "The model is being prepared" in texts(app) and "step 1 of 1" in texts(app)
    loading.go.set()
    ready()

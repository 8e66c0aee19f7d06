"""The wizard, on a real service with a tiny random model."""

import pytest
from streamlit.testing.v1 import AppTest

from lab import About, CircuitBody, HypothesisBody
from lab.runs.plan import make_plan
from service import Service
from tests.helpers import PROMPT
from tests.pages.conftest import open_page, ready, sound, texts, traced, until
from ui.session import get_lab, me

pytestmark = pytest.mark.usefixtures("loading")

LINES = "\n".join(f"w{i} w9 w2 w33 w17 w5 w40 w8" for i in (6, 7, 11, 12, 13, 14))


def circuit(service: Service) -> tuple[str, list[str]]:
    """A saved one of three features, two of them in a group; its id, and its pins."""
    key = traced(PROMPT)
    graph = service.graph(key)
    assert graph is not None
    ids = [str(id) for id in graph.nodes[(graph.nodes.kind == "feature")].nlargest(3, "influence").id]
    body = CircuitBody(title="<b>c</b>", prompt=PROMPT, pins=tuple(ids), groups=({"name": "pair", "nodes": ids[:2]},))
    return get_lab().create(me(), About(graph=key), body).id, ids


def wizard() -> tuple[AppTest, Service, list[str]]:
    open_page()
    service = ready()
    id, ids = circuit(service)
    return open_page("pages/hypotheses.py", write="new", circuit=id), service, ids


def settled(app: AppTest) -> AppTest:
    """With what the model says on each prompt."""
    until(lambda: "running the prompts" not in texts(sound(app.run())) and not app.get("progress"))
    return app


def draft(app: AppTest):
    state = app.session_state
    return state["wizards"][state["wizard_now"]]


def by(elements, label: str):
    (found,) = [element for element in elements if element.label == label]
    return found


def saved() -> HypothesisBody:
    (record,) = get_lab().find("hypothesis", me())
    return record.head.body


def test_from_a_saved_circuit_to_a_draft_that_can_be_run() -> None:
    app, service, ids = wizard()
    by(app.text_area, "A prompt a line").set_value(LINES)
    by(app.button, "Add the lines").click().run()
    assert "6 added" in texts(settled(app))
    assert "Ready to be saved" in texts(app)
    app.button(key="wizard_save").click().run()
    body = saved()
    assert make_plan(body, service.model).n_runs > 199
    assert [len(s.nodes) for s in body.circuit] == [2, 1]

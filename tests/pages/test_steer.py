"""The Steer page, on a real service with a tiny random model."""

import re

import pytest
import torch
from streamlit.testing.v1 import AppTest

from lab import About, CircuitBody
from service import Service, TraceRequest
from tests.helpers import PROMPT
from tests.pages.conftest import open_page, ready, sound, texts, until
from tracer import Edit
from ui.session import get_lab, me

pytestmark = pytest.mark.usefixtures("loading")


def traced(service: Service) -> str:
    model = service.model
    assert model is not None
    job = service.submit(TraceRequest(tokens=tuple(model.token_ids(PROMPT)), prompt=PROMPT), "somebody")
    done = service.wait(job.id, 60)
    assert done is not None and done.state == "done"
    return done.key


def steered_page() -> tuple[AppTest, Service, str, list[str]]:
    """The page, with the circuit of a graph: a supernode of two features, and one on its own."""
    open_page()
    service = ready()
    key = traced(service)
    graph = service.graph(key)
    assert graph is not None
    nodes = graph.nodes[(graph.nodes.kind == "feature")].nlargest(3, "influence")
    ids = [str(id) for id in nodes.id]
    body = CircuitBody(title="c", prompt=PROMPT, pins=tuple(ids), groups=({"name": "<b>pair</b>", "nodes": ids[:2]},))
    record = get_lab().create(me(), About(graph=key), body)
    app = open_page("pages/graph.py", circuit=record.id)
    app.button(key="circuit_steer").click().run()
    app.switch_page("pages/steer.py")
    app.run()
    return sound(app), service, key, ids


def edits(ids: list[str], factor: float) -> list[Edit]:
    found = []
    for id in ids:
        layer, feature, position = map(int, id.split("_"))
        found.append(Edit(layer, position, feature, factor=factor))
    return found


def controlled(app: AppTest) -> str:
    """What the page says once its controls are there: they run beside it."""

    def said() -> str | None:
        text = texts(sound(app.run()))
        return text if "Each control writes as much" in text else None

    return until(said)


def metric(app: AppTest, name: str) -> str:
    return next(m.value for m in app.metric if m.label == name)


def test_a_circuit_is_steered_and_the_figures_are_those_of_the_engine() -> None:
    app, service, _, ids = steered_page()
    assert "<b>pair</b>" in app.toggle[0].label.replace("\\", "")
    steered = service.model.steer(PROMPT, edits(ids[:2], -1.0))
    top = int(steered.baseline.argmax())
    assert metric(app, "Δ logit") == f"{float(steered.delta[top]):+.2f}"
    assert metric(app, "Probability") == f"{float(steered.probabilities[top]):.1%}"
    assert metric(app, "KL") == f"{steered.kl:.3f}"
    said = controlled(app)
    assert re.search(r"20 controls: mean .*of 20 do as much", said) and "Only `direct` should equal" in said
    table = app.dataframe[0].value
    assert list(table["supernode"]) != [] and "pair" not in " ".join(table["supernode"]), "steered: no outcome"

    slider = next(s for s in app.slider if s.label == "× own")
    slider.set_value(2.0).run()
    sound(app)
    steered = service.model.steer(PROMPT, edits(ids[:2], 2.0))
    assert metric(app, "KL") == f"{steered.kl:.3f}"

    app.button_group(key="steer_protocol_None").set_value("direct").run()
    steered = service.model.steer(PROMPT, edits(ids[:2], 2.0), protocol="direct")
    assert metric(app, "KL") == f"{steered.kl:.3f}"


def test_rows_can_be_switched_taken_out_and_brought_back() -> None:
    app, service, _, ids = steered_page()
    second = next(t for t in app.toggle if t.key.startswith("steer_on_") and t.key.endswith("_1"))
    second.set_value(True).run()
    both = service.model.steer(PROMPT, edits(ids, -1.0))
    assert metric(app, "KL") == f"{both.kl:.3f}"
    app.button(key="steer_out_0_0").click().run()
    one = service.model.steer(PROMPT, edits(ids[2:], -1.0))
    assert metric(sound(app), "KL") == f"{one.kl:.3f}"
    app.button(key="steer_undo").click().run()
    assert metric(sound(app), "KL") == f"{both.kl:.3f}"
    for toggle in [t.key for t in app.toggle if t.key.startswith("steer_on_")]:
        app.toggle(key=toggle).set_value(False).run()
    assert "No row is on" in texts(sound(app))
    app.button(key="steer_reset").click().run()
    assert metric(sound(app), "KL") == f"{both.kl:.3f}"


def test_a_run_is_saved_with_all_that_runs_it_again() -> None:
    app, service, key, _ids = steered_page()
    next(s for s in app.slider if s.label == "× own").set_value(0.5).run()
    kl = metric(app, "KL")
    app.text_input(key=f"steer_title_{key}").set_value("Half <script>").run()
    app.button(key="steer_save").click().run()
    sound(app)
    (record,) = get_lab().find("steering", me())
    body = record.head.body
    assert body.title == "Half <script>" and record.about.graph == key
    assert (body.protocol, body.rows[0].amount, body.controls.n) == ("clamp", 0.5, 20)
    assert body.figures["kl"] == pytest.approx(float(kl), abs=1e-3)
    other = open_page("pages/steer.py", run=record.id)
    assert metric(other, "KL") == kl
    missing = open_page("pages/steer.py", run="nothing")
    assert "can't be opened" in texts(missing)
    assert service.model is not None


def test_text_under_edits_beside_the_text_without() -> None:
    app, service, _, ids = steered_page()
    next(s for s in app.selectbox if s.label == "Where").set_value("onward").run()
    app.number_input(key="steer_n_tokens").set_value(4).run()
    app.button(key="steer_generate").click().run()
    first = min(e.position for e in edits(ids[:2], -1))
    onward = [Edit(e.layer, slice(first, None), e.feature, factor=-1.0) for e in edits(ids[:2], -1)]
    new: list[list[int]] = [[], []]
    for token in service.model.generate(PROMPT, [[], onward], n_tokens=4):
        new[token.condition].append(token.id)
    prompt = service.model.token_ids(PROMPT)
    expected = [service.model.continuation(prompt, ids).strip() for ids in new]
    until(lambda: set(expected) <= {t.value for t in sound(app.run()).text})
    next(s for s in app.slider if s.label == "× own").set_value(2.0).run()
    assert set(expected) <= {t.value for t in app.text}, "what was generated stays"
    assert "Of the edits and settings before" in texts(app)


def test_bad_input_is_one_line_and_the_model_stays_as_it_was() -> None:
    app, service, _, _ids = steered_page()
    model = service.model
    plain = model.record(model.token_ids(PROMPT)).logits
    field = next(t for t in app.text_input if t.label == "Prompt")
    field.set_value("w1").run()
    assert "outside the prompt" in texts(sound(app))
    field = next(t for t in app.text_input if t.label == "Prompt")
    field.set_value("").run()
    assert "Type a prompt" in texts(sound(app))
    next(t for t in app.text_input if t.label == "Prompt").set_value(PROMPT).run()
    unit = next(s for s in app.selectbox if s.label == "Unit")
    unit.set_value("maximum").run()
    assert "is not known yet" in texts(sound(app))
    next(s for s in app.selectbox if s.label == "Unit").set_value("value").run()
    next(n for n in app.number_input if n.label == "value").set_value(1e11).run()
    sound(app)
    assert torch.equal(model.record(model.token_ids(PROMPT)).logits, plain)


def test_a_feature_is_added_by_its_numbers() -> None:
    open_page()
    service = ready()
    app = open_page("pages/steer.py")
    assert "Type a prompt to steer" in texts(app) and "Nothing is steered yet" in texts(app)
    next(t for t in app.text_input if t.label == "Prompt").set_value(PROMPT).run()
    app.number_input(key="steer_add_layer").set_value(1).run()
    app.number_input(key="steer_add_feature").set_value(7).run()
    app.button(key="steer_add").click().run()
    sound(app)
    last = len(service.model.token_ids(PROMPT)) - 1
    steered = service.model.steer(PROMPT, [Edit(1, last, 7, factor=-1)])
    assert metric(app, "KL") == f"{steered.kl:.3f}"


def test_what_was_made_with_another_model_is_not_steered() -> None:
    app, service, _key, _ids = steered_page()
    app.button(key="steer_save").click().run()
    (record,) = get_lab().find("steering", me())
    other = record.head.body.model_copy(update={"basis_fingerprint": "another", "tokens": (10**9,)})
    foreign = get_lab().create(me(), About(), other)
    shown = open_page("pages/steer.py", run=foreign.id)
    assert "made with another model" in texts(shown) and not shown.metric
    shown.button(key="steer_anew").click().run()
    assert "Nothing is steered yet" in texts(sound(shown)) and service.model is not None

"""The Steer page, on a real service with a tiny random model."""

import re
import threading
from dataclasses import replace

import pytest
import torch
from streamlit.testing.v1 import AppTest

from lab import About, CircuitBody, LabelBody
from service import Service, TraceRequest
from tests.helpers import PROMPT, somebody
from tests.pages.conftest import open_page, ready, sound, texts, until
from tracer import Donor, Edit
from ui.session import get_lab, me

pytestmark = pytest.mark.usefixtures("loading")


def traced(service: Service) -> str:
    model = service.model
    assert model is not None
    job = service.submit(TraceRequest(tokens=tuple(model.token_ids(PROMPT)), prompt=PROMPT), somebody("me"))
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

    app.button_group(key=f"steer_protocol_{app.session_state['steering'].id}").set_value("direct").run()
    steered = service.model.steer(PROMPT, edits(ids[:2], 2.0), protocol="direct")
    assert metric(app, "KL") == f"{steered.kl:.3f}"


def test_a_run_is_saved_with_all_that_runs_it_again() -> None:
    app, service, key, _ids = steered_page()
    next(s for s in app.slider if s.label == "× own").set_value(0.5).run()
    kl = metric(app, "KL")
    controlled(app)
    controls = app.session_state["steer_controls"]
    app.text_input(key=f"steer_title_{app.session_state['steering'].id}").set_value("Half <script>").run()
    app.button(key="steer_save").click().run()
    sound(app)
    assert app.session_state["steer_controls"] is controls, "not run again"
    (record,) = get_lab().find("steering", me())
    body = record.head.body
    assert body.title == "Half <script>" and record.about.graph == key
    assert (body.protocol, body.rows[0].amount, body.controls.n) == ("clamp", 0.5, 20)
    assert body.figures["controls"] == 20 and body.follow is not None
    assert body.figures["kl"] == pytest.approx(float(kl), abs=1e-3)
    other = open_page("pages/steer.py", run=record.id)
    assert metric(other, "KL") == kl
    missing = open_page("pages/steer.py", run="nothing")
    assert "can't be opened" in texts(missing)
    assert service.model is not None


def test_a_run_of_a_private_circuit_is_private() -> None:
    """It holds the names of its groups."""
    app, _service, _key, _ids = steered_page()
    lab, viewer = get_lab(), me()
    (circuit,) = lab.find("circuit", viewer)
    lab.show_to(circuit.id, viewer, "private")
    app.button(key="steer_save").click().run()
    sound(app)
    (record,) = lab.find("steering", viewer)
    assert record.visibility == "private" and lab.find("steering", lab.person("local", "ben", "Ben")) == []
    assert "for you alone" in texts(app)


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
    app.button(key="steer_add").click().run()
    assert f"L1 · 7 @ {last} is in the row L1 · 7 @ {last} already" in texts(sound(app))
    assert metric(app, "KL") == f"{steered.kl:.3f}" and len(app.session_state["steering"].rows) == 1


def test_a_row_acts_where_it_is_told_and_says_what_it_sets() -> None:
    app, service, _, ids = steered_page()
    places = edits(ids[:2], -1.0)
    first, last = min(e.position for e in places), len(service.model.token_ids(PROMPT)) - 1

    def where(name: str) -> None:
        next(s for s in app.selectbox if s.label == "Where").set_value(name).run()
        sound(app)

    def same(position: object) -> None:
        wanted = [Edit(e.layer, position, e.feature, factor=-1.0) for e in places]
        steered = service.model.steer(PROMPT, wanted)
        assert metric(app, "KL") == f"{steered.kl:.3f}"
        shown = [e for e in steered.edits][:1]
        for edit in shown:
            assert f"{edit.before:.4g} → {edit.value:.4g} at" in texts(app)

    where("last")
    same(-1)
    where("onward")
    same(slice(first, None))
    next(n for n in app.number_input if n.label == "From").set_value(3).run()
    same(slice(3, None))
    where("range")
    next(n for n in app.number_input if n.label == "From").set_value(2).run()
    next(n for n in app.number_input if n.label == "To").set_value(4).run()
    same(slice(2, 5))
    next(n for n in app.number_input if n.label == "To").set_value(1).run()
    assert "A range goes from a token to the same or a later one" in texts(sound(app))
    same(slice(2, 5))
    where("generated")
    assert "the next token stays as it is" in texts(app) and metric(app, "KL") == "0.000" and last == 8
    where("own")
    steered = service.model.steer(PROMPT, places)
    assert metric(app, "KL") == f"{steered.kl:.3f}"


def test_activations_of_another_prompt_are_taken_where_the_person_says() -> None:
    app, service, _, ids = steered_page()
    model = service.model
    next(s for s in app.selectbox if s.label == "Unit").set_value("donor").run()
    assert "type the other prompt" in texts(sound(app))
    other = next(t for t in app.text_input if t.label == "Other prompt")
    other.set_value("w7 w21 w3").run()
    sound(app)
    tokens = tuple(model.token_ids("w7 w21 w3"))
    places = edits(ids[:2], 1.0)
    shift = len(tokens) - len(model.token_ids(PROMPT))
    assert "4 tokens there, 9 here" in texts(app)

    def same(there: dict[int, int]) -> None:
        wanted = [replace(e, donor=Donor(tokens, there[e.position])) for e in places]
        steered = model.steer(PROMPT, wanted)
        assert metric(app, "KL") == f"{steered.kl:.3f}"
        assert f"→ {steered.edits[0].value:.4g} at" in texts(app)

    there = {e.position: e.position + shift for e in places}
    for box in [s for s in app.selectbox if s.label.startswith("For ")]:
        position = int(box.key.split("_")[-2])
        if there[position] < 0:
            assert f"say which token of the other prompt stands for position {position}" in texts(app)
            there[position] = 1
            box.set_value(1).run()
    sound(app)
    same(there)
    box = next(s for s in app.selectbox if s.label.startswith("For "))
    there[int(box.key.split("_")[-2])] = 2
    box.set_value(2).run()
    same(there)
    app.button(key="steer_save").click().run()
    (record,) = get_lab().find("steering", me())
    kl = metric(app, "KL")
    assert metric(open_page("pages/steer.py", run=record.id), "KL") == kl
    next(t for t in app.text_input if t.label == "Other prompt").set_value("w1 " * 999).run()
    assert "HYPOGRAPH_MAX_TOKENS" in texts(sound(app)) and metric(app, "KL") == kl


def test_features_are_found_by_label_by_graph_and_by_what_they_push() -> None:
    app, service, _key, _ids = steered_page()
    model = service.model
    about = About(model=model.model_fingerprint, basis=model.basis_fingerprint, layer=2, feature=31)
    get_lab().create(me(), about, LabelBody(text="Football <b>"))

    def found(search: str) -> list[str]:
        app.text_input(key="steer_find").set_value(search).run()
        sound(app)
        return next((list(s.options) for s in app.selectbox if s.label.endswith(" found")), [])

    assert any(o.startswith("L2 · 31: Football <b>, by") for o in found("football"))
    assert all(o.startswith("L1 ·") for o in found("L1")) and found("L1")
    assert any("pushes w7 by" in o for o in found("w7"))
    assert found("zebra") == [] and "Nothing is known by zebra" in texts(app)
    found("football")
    app.button(key="steer_add_found").click().run()
    sound(app)
    assert app.toggle[-1].label.replace("\\", "").startswith("**L2 · 31 @") or "L2 · 31" in " ".join(
        t.label.replace("\\", "") for t in app.toggle
    )


def test_controls_are_cancelled_what_came_stays_and_the_model_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    app, service, _, _ids = steered_page()
    model = service.model
    controlled(app)
    plain = model.record(model.token_ids(PROMPT)).logits
    go, own = threading.Semaphore(0), type(model).steer_many

    def slowly(self, *args, **named):
        for run in own(self, *args, **named):
            if len(named["conditions"]) > 1:
                go.acquire(timeout=20)
            yield run

    monkeypatch.setattr(type(model), "steer_many", slowly)
    next(n for n in app.number_input if n.label == "How many").set_value(12).run()
    go.release(4)
    until(lambda: "4 controls: mean" in texts(sound(app.run())))
    app.button(key="steer_controls_cancel").click().run()
    go.release(1)
    until(lambda: "Stopped: " in texts(sound(app.run())))
    assert "4 controls: mean" in texts(app) or "5 controls: mean" in texts(app)
    assert torch.equal(model.record(model.token_ids(PROMPT)).logits, plain)
    go.release(100)
    app.button(key="steer_controls_again").click().run()
    until(lambda: "12 controls: mean" in texts(sound(app.run())))
    assert torch.equal(model.record(model.token_ids(PROMPT)).logits, plain)


def test_text_is_cancelled_and_what_came_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    app, service, _, _ids = steered_page()
    model = service.model
    plain = model.record(model.token_ids(PROMPT)).logits
    go, own = threading.Semaphore(0), type(model).generate

    def slowly(self, *args, **named):
        for token in own(self, *args, **named):
            go.acquire(timeout=20)
            yield token

    monkeypatch.setattr(type(model), "generate", slowly)
    app.button(key="steer_generate").click().run()
    go.release(6)
    until(lambda: len(app.session_state["steer_text"].stream.found()) == 6)
    said = {t.value for t in sound(app.run()).text}
    app.button(key="steer_text_cancel").click().run()
    go.release(1)
    until(lambda: "Stopped: " in texts(sound(app.run())))
    assert {t.value.split()[0] for t in app.text} == {text.split()[0] for text in said} and len(said) == 2
    assert torch.equal(model.record(model.token_ids(PROMPT)).logits, plain)


def test_a_stop_token_is_shown_as_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    app, service, _, _ids = steered_page()
    first = next(iter(service.model.generate(PROMPT, [[]], n_tokens=1))).id
    monkeypatch.setattr(type(service.model), "stop_tokens", {first})
    app.button(key="steer_generate").click().run()
    name = service.model.token_text(first)
    until(lambda: f"Ends here: the model said {name}" in texts(sound(app.run())))


def test_a_record_with_numbers_out_of_bounds_opens_without_a_traceback() -> None:
    app, service, _key, _ids = steered_page()
    app.button(key="steer_save").click().run()
    (record,) = get_lab().find("steering", me())
    body = record.head.body
    rows = tuple(row.model_copy(update={"where": "onward", "start": 500}) for row in body.rows)
    controls = body.controls.model_copy(update={"n": 9999, "seed": 2**50, "kind": "luck"})
    wild = {"protocol": "constrained", "layers": (0, 9000), "follow": 10**9, "controls": controls}
    for update in (wild, {"rows": rows}, {"rows": ()}, {"tokens": (10**9,)}, {"layers": (1, 3), "protocol": "free"}):
        opened = open_page("pages/steer.py", run=get_lab().create(me(), About(), body.model_copy(update=update)).id)
        assert opened.title[0].value == "Steer"
    held = body.model_copy(update={"protocol": "constrained", "layers": (1, 2)})
    opened = open_page("pages/steer.py", run=get_lab().create(me(), About(), held).id)
    model = service.model
    assert "No edit writes within layers 1 to 1" in texts(opened) or metric(opened, "KL")
    assert opened.slider(key=next(s.key for s in opened.slider if "steer_layers" in s.key)).value == (1, 1)
    assert model is not None


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

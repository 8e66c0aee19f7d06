"""The wizard, on a real service with a tiny random model."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lab import About, CircuitBody, HypothesisBody, Record, SteeringBody
from lab.freeze import HypothesisFile, write
from lab.runs.plan import make_plan
from service import Service
from tests.helpers import PROMPT
from tests.lab.hypotheses import body as sports
from tests.pages.conftest import button, open_page, ready, sound, texts, traced, until
from tracer import ReplacementModel
from ui.circuit_draft import Draft
from ui.session import get_lab, me
from ui.steer_draft import from_circuit
from ui.wizard_baseline import told
from ui.wizard_draft import Writing
from ui.wizard_sources import of_run

pytestmark = pytest.mark.usefixtures("loading")

REST = PROMPT.partition(" ")[2]
LINES = "\n".join(f"w{i} {REST}" for i in (6, 7, 11, 12, 13, 14))


def circuit(service: Service, prompt: str = PROMPT, title: str = "<b>c</b>") -> tuple[str, list[str]]:
    """A saved one of three features, two of them in a group; its id, and its pins."""
    key = traced(prompt)
    graph = service.graph(key)
    assert graph is not None
    ids = [str(id) for id in graph.nodes[(graph.nodes.kind == "feature")].nlargest(3, "influence").id]
    groups = ({"name": "<i>pair</i>", "nodes": ids[:2]},)
    body = CircuitBody(title=title, prompt=prompt, pins=tuple(ids), groups=groups)
    return get_lab().create(me(), About(graph=key), body).id, ids


def begun() -> tuple[AppTest, Service, list[str]]:
    """The wizard on that circuit."""
    open_page()
    service = ready()
    id, ids = circuit(service)
    return open_page("pages/hypotheses.py", write="new", circuit=id), service, ids


def checked(app: AppTest) -> str:
    """What the page says once the model has run each prompt."""

    def over() -> bool:
        sound(app.run())
        stream = app.session_state["wizard_baselines"][1] if "wizard_baselines" in app.session_state else None
        return (stream is None or stream.over) and "Being checked" not in texts(app)

    until(over)
    return texts(sound(app.run()))


def add_lines(app: AppTest, lines: str = LINES) -> str:
    by(app.text_area, "A prompt a line").set_value(lines)
    button(app, "Add the lines").click().run()
    return checked(app)


def draft(app: AppTest) -> Writing:
    state = app.session_state
    return state["wizards"][state["wizard_now"]]


def by(elements: Any, label: str) -> Any:
    (found,) = [element for element in elements if element.label == label]
    return found


def choose(app: AppTest, name: str, value: object) -> AppTest:
    """In a segmented control of the wizard."""
    (found,) = [group for group in app.button_group if group.key.startswith(f"wizard_{name}_")]
    found.set_value(value).run()
    return sound(app)


def saved() -> HypothesisBody:
    (record,) = get_lab().find("hypothesis", me())
    return record.head.body


def loaded(service: Service) -> ReplacementModel:
    assert service.model is not None
    return service.model


def test_from_a_saved_circuit_to_a_draft_that_can_be_frozen_and_run() -> None:
    app, service, ids = begun()
    assert "Not whole yet" in checked(app) or "can't reach" in checked(app)
    said = add_lines(app)
    assert "Prompts that name no target: 6" in said
    assert "6 added" in said and "Ready to be saved, frozen and run" in said and "6 test prompts find" in said
    app.button(key="wizard_save").click().run()
    sound(app)
    (record,) = get_lab().find("hypothesis", me())
    body, model = record.head.body, loaded(service)
    assert "Without the edit" not in texts(app) and "wizard_now" not in app.session_state, "on the page of what it made"
    assert make_plan(body, model).n_runs > 6 * 199
    nodes = [f"{n.layer}_{n.feature}" for s in body.circuit for n in s.nodes]
    assert nodes == [id.rpartition("_")[0] for id in ids] and body.circuit[0].name == "<i>pair</i>"
    where = {str(node.at) for supernode in body.circuit for node in supernode.nodes}
    assert where and all("token" in place for place in where)
    assert [p.use for p in body.prompts] == ["discovery"] + ["test"] * 6
    assert (body.kind, body.direction, body.intervention.protocol) == ("necessity", "decrease", "clamp")
    assert body.intervention.doses == [(a, a) for a in (-1.0, -2.0, 0.0, 0.5, 2.0)]
    assert get_lab().freeze(record.id, me(), 1).version == 1
    test = body.prompts[1]
    top = model.next_tokens(model.token_ids(test.text), 2)
    assert [f" {t.token}" for t in top] == [test.target, test.competitor], "the likeliest, and the next"


def test_what_is_typed_survives_another_page() -> None:
    app, _, _ = begun()
    by(app.text_input, "Title").set_value("Mine <script>").run()
    choose(app, "kind", "specificity")
    by(app.text_area, "A prompt a line").set_value("w1 w2\nnot added").run()
    by(app.text_area, "Notes").set_value("*note*").run()
    number = next(n for n in app.number_input if n.label.startswith("By at least"))
    number.set_value(0.25).run()
    app.switch_page("pages/system.py").run()
    app.switch_page("pages/hypotheses.py")
    app.query_params["write"] = "new"
    sound(app.run())
    assert by(app.text_input, "Title").value == "Mine <script>" and by(app.text_area, "Notes").value == "*note*"
    assert by(app.text_area, "A prompt a line").value == "w1 w2\nnot added"
    assert (draft(app).kind, draft(app).smallest) == ("specificity", 0.25)
    assert "more than matched controls" in by(app.text_area, "Claim in words").value
    assert "Written by hand" not in texts(app)
    by(app.text_area, "Claim in words").set_value("They are enough.").run()
    choose(app, "kind", "necessity")
    assert "Written by hand. What is tested is what the fields say: " in texts(app) and "are needed for" in texts(app)
    app.button(key="wizard_anew").click().run()
    assert "Pin a circuit" in texts(sound(app))


def test_hostile_prompts_are_said_no_to_and_stay_where_they_were_typed() -> None:
    app, _, _ = begun()
    add_lines(app)
    many = "\n".join(f"w{n}" for n in range(5_000))
    for lines, words in (
        (many, "more than 1,000 prompts"),
        ("", "There is no prompt"),
        ("w1 w2\nw1 w2", "Line 2 repeats line 1"),
        ("w1\x00w2", "Line 1"),
    ):
        assert words in add_lines(app, lines), lines[:20]
        assert by(app.text_area, "A prompt a line").value == lines
        assert len(draft(app).prompts) == 7
    html = "<img src=x onerror=alert(1)> w9 \u202e\U0001f600 " + "w3 " * 300
    said = add_lines(app, html)
    assert "limit is 200" in said or "1 added" in said
    assert "<img" not in [element.value for element in app.markdown], "no markup"


def test_prompts_that_do_not_fit_are_named_and_tokens_that_are_none() -> None:
    app, service, _ = begun()
    add_lines(app)
    wanted = draft(app)
    wanted.prompts = [p.model_copy(update={"target": "w1 w2"}) if i == 3 else p for i, p in enumerate(wanted.prompts)]
    wanted.revision += 1
    assert "Prompt 4 ('w11" in checked(app) and "2 tokens after this prompt" in texts(app)
    known = told(loaded(service), (PROMPT, "w7", None), 100)
    assert known.target == " w7" or known.target == "w7"
    assert "limit is 3" in (told(loaded(service), (PROMPT, None, None), 3).problem or "")


def test_a_template_is_filled_and_what_is_not_is_said() -> None:
    app, _, _ = begun()
    choose(app, "way", "template")
    template = by(app.text_input, "Template")
    assert template.value == PROMPT
    template.set_value("{name} " + REST).run()
    by(app.text_area, "{name}").set_value("w6\nw7\n\nw11 ").run()
    button(app, "Add the prompts").click().run()
    assert "3 added" in checked(app)
    assert draft(app).prompts[1].slots["name"].text == "w6"
    by(app.text_input, "Template").set_value("{name} {game").run()
    assert "expected '}'" in texts(sound(app))
    by(app.text_input, "Template").set_value("{name} {game}").run()
    by(app.text_area, "{name}").set_value("w6").run()
    button(app, "Add the prompts").click().run()
    assert "as many fillings each" in texts(sound(app)) and by(app.text_area, "{name}").value == "w6"


def test_a_circuit_that_is_not_saved_and_a_steering_run_lead_here() -> None:
    open_page()
    service = ready()
    id, _ = circuit(service)
    app = open_page("pages/graph.py", circuit=id)
    app.button(key="circuit_hypothesis").click().run()
    app.switch_page("pages/hypotheses.py")
    app.query_params["write"] = "new"
    sound(app.run())
    assert [piece.on for piece in draft(app).pieces] == [True, True] and draft(app).prompts[0].text == PROMPT
    app.switch_page("pages/graph.py")
    sound(app.run()).button(key="circuit_steer").click().run()
    app.switch_page("pages/steer.py").run()
    next(s for s in app.slider if s.label == "× own").set_value(0.5).run()
    app.button(key="steer_hypothesis").click().run()
    app.switch_page("pages/hypotheses.py")
    app.query_params["write"] = "new"
    sound(app.run())
    pair, other = draft(app).pieces
    assert (pair.amount, pair.on, other.on) == (0.5, True, False) and len(pair.nodes) == 2
    assert "Ready" in add_lines(app)
    app.button(key="wizard_save").click().run()
    assert saved().watched()[0].name == other.name and saved().intervention.settings[0].primary == 0.5


def test_mediation_and_equivalence_are_reached_from_the_page() -> None:
    app, service, _ = begun()
    other, _ = circuit(service, "w8 " + REST, "second one")
    add_lines(app)
    choose(app, "kind", "mediation")
    assert "Not whole yet: Choose the mediators" in texts(app)
    by(app.multiselect, "Mediators").set_value([1]).run()
    said = checked(app)
    layers = [{node.layer for node in piece.nodes} for piece in draft(app).pieces]
    assert ("Ready" in said) == (min(layers[1]) > min(layers[0])), "else it is said that mediators must lie above"
    choose(app, "kind", "equivalence")
    assert "Not whole yet: Choose the second circuit" in texts(app)
    by(app.selectbox, "Second circuit").set_value(other).run()
    assert "Ready" in checked(app)
    app.button(key="wizard_save").click().run()
    body = saved()
    assert [s.name for s in body.second_circuit] != [s.name for s in body.circuit] and body.direction == "two_sided"
    assert len([p for p in body.prompts if p.use == "discovery"]) == 2, "both circuits' prompts were seen"


def test_alpha_that_can_not_be_reached_is_said_at_once() -> None:
    app, _, _ = begun()
    assert "5 are needed, 1 more" in add_lines(app, "\n".join(LINES.split("\n")[:4]))
    assert "Not whole yet" not in texts(app) and not app.button(key="wizard_save").disabled, "a draft may wait"
    by(app.number_input, "α").set_value(0.001).run()
    assert "10 are needed" in checked(app) and by(app.number_input, "Sets (R)").value == 999
    by(app.number_input, "Sets (R)").set_value(10).run()
    assert "of 10 sets no p is below" in texts(app) and app.button(key="wizard_save").disabled


def test_a_saved_one_goes_on_as_its_next_version_and_nothing_of_others_is_lost() -> None:
    app, _, _ = begun()
    add_lines(app)
    app.button(key="wizard_save").click().run()
    (record,) = get_lab().find("hypothesis", me())
    get_lab().freeze(record.id, me(), 1)
    app = open_page("pages/hypotheses.py", write=record.id)
    by(app.text_input, "Title").set_value("Second").run()
    theirs = record.head.body.model_copy(update={"title": "Theirs"})
    get_lab().save(record.id, me(), theirs, 1)
    checked(app)
    app.button(key="wizard_save").click().run()
    assert "Version 2 was saved by" in texts(sound(app)) and by(app.text_input, "Title").value == "Second"
    app.button(key="wizard_save").click().run()
    assert [r.body.title for r in get_lab().history(record.id, me())] == ["Second", "Theirs", "<b>c</b>"]


def test_a_file_is_brought_in_and_a_hostile_one_is_not() -> None:
    open_page()
    model = loaded(ready())
    fingerprints = {"model_fingerprint": model.model_fingerprint, "basis_fingerprint": model.basis_fingerprint}
    own = HypothesisFile(hypothesis=sports(**fingerprints, model="m", features="f"))
    none = {"model_fingerprint": None, "basis_fingerprint": None}
    bare = sports(**none, model=model.name, features=model.basis.name)
    app = open_page("pages/hypotheses.py", write="new")
    for content in (b"\xff\xfe", b"a: &a [*a]", b"!!python/object/apply:os.system ['x']", b"[" * 100, b""):
        app.file_uploader[0].upload("h.yaml", content, "application/yaml").run()
        assert "Not read" in texts(sound(app)), content
    app.file_uploader[0].upload("h.yaml", write(own).encode(), "application/yaml").run()
    said = checked(app)
    assert by(app.text_input, "Title").value == "Sports" and draft(app).claim == own.hypothesis.claim
    assert "Can be saved, but not run yet" in said and "are the same token" in said, "the tiny model has no such words"
    id = get_lab().create(me(), About(), bare).id
    for query in ({"write": id}, {"write": "new"}):
        app = open_page("pages/hypotheses.py", **query)
        if "new" in query.values():
            file = write(HypothesisFile(hypothesis=bare)).encode()
            app.file_uploader[0].upload("h.yaml", file, "application/yaml").run()
        assert by(app.text_input, "Title").value == "Sports" and "is loaded, in which" not in texts(app)
        assert {name: getattr(draft(app), name) for name in fingerprints} == fingerprints


def test_what_was_begun_from_something_private_is_private() -> None:
    open_page()
    service = ready()
    id, _ = circuit(service)
    get_lab().show_to(id, me(), "private")
    app = open_page("pages/hypotheses.py", write="new", circuit=id)
    assert "only you will see it" in texts(app)
    add_lines(app)
    app.button(key="wizard_save").click().run()
    (record,) = get_lab().find("hypothesis", me())
    assert record.visibility == "private"


def test_a_private_circuit_that_was_steered_makes_a_private_hypothesis() -> None:
    open_page()
    service = ready()
    id, _ = circuit(service)
    lab, model = get_lab(), loaded(service)
    record: Record[CircuitBody] = lab.get(id, me())
    key = record.about.graph or ""
    graph = service.graph(key)
    assert graph is not None
    steered = from_circuit(key, graph, Draft(key, record.head.body, id))
    assert of_run(steered, "t", model).visibility == "lab"
    lab.show_to(id, me(), "private")
    assert of_run(steered, "t", model).visibility == "private"
    steered.record = lab.create(me(), About(graph=key), steered.body(model, "t", {})).id  # by itself the lab sees it
    assert of_run(steered, "t", model).visibility == "private"


def test_a_saved_run_of_another_model_names_that_model() -> None:
    row = {"name": "a", "nodes": [{"layer": 0, "position": 0, "feature": 1}]}
    made_for = {"model": "Other", "features": "F9", "model_fingerprint": "x", "basis_fingerprint": "y"}
    body = SteeringBody.model_validate({"title": "t", "prompt": "w1", "tokens": [1], "rows": [row]} | made_for)
    open_page()
    ready()
    run = get_lab().create(me(), About(), body, "private").id
    app = open_page("pages/hypotheses.py", write="new", run=run)
    assert "This was begun with Other, F9; " in texts(app) and draft(app).visibility == "private"


def test_links_that_lead_nowhere_and_other_models_are_said() -> None:
    app, _, _ = begun()
    for query in ({"write": "nothing"}, {"write": "new", "circuit": "x"}, {"write": "new", "run": "<b>"}):
        assert "There is no such record" in texts(open_page("pages/hypotheses.py", **query))
    draft(app).model_fingerprint = "another"
    assert "is loaded, in which the numbers of features mean something else" in texts(sound(app.run()))

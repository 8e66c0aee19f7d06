"""The Trace page in each of its states."""

from pathlib import Path

import pytest
import streamlit as st

import ui.session
from lab import Lab
from service import JobState, TraceRequest
from tests.helpers import somebody
from tests.pages.conftest import Loading, button, forget, open_page, ready, running, sound, texts, traced, until


def labels(app) -> list[str]:
    return [b.label for b in app.button]


def test_while_the_model_loads_one_can_type(loading: Loading) -> None:
    loading.go.clear()
    app = open_page()
    assert "The model is being prepared" in texts(app)
    app.text_input(key="prompt").set_value("w4 w9")
    sound(app.run())
    assert "Trace" not in labels(app)
    loading.go.set()
    ready()
    sound(app.run())
    assert "The model is being prepared" not in texts(app)
    assert "3 tokens" in texts(app)
    assert "Trace" in labels(app)


def test_a_failed_load_is_said_and_can_be_tried_again(loading: Loading) -> None:
    loading.trouble = "there is no such model: choose another"
    app = open_page()
    until(lambda: running().model_state().state == "failed")
    sound(app.run())
    assert "there is no such model: choose another" in texts(app)
    assert "Trace" not in labels(app)
    loading.trouble = None
    button(app, "Try again").click()
    sound(app.run())
    ready()
    sound(app.run())
    assert not app.sidebar.error
    assert "Type a prompt" in texts(app)


def test_ready_and_empty(loading: Loading) -> None:
    ready()
    app = open_page()
    assert "Type a prompt, or take one of the examples below." in texts(app)
    assert "None yet. Trace a prompt" in texts(app)
    assert "Trace" not in labels(app)
    assert app.expander[0].label == "How this works"


def test_warnings(loading: Loading) -> None:
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9")
    assert not sound(app.run()).warning
    app.text_input(key="prompt").set_value("w4 w9 ")
    assert "ends with a space" in sound(app.run()).warning[0].value


def test_too_long(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_MAX_TOKENS", "4")
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9 w5")
    assert not sound(app.run()).error
    assert "Trace" in labels(app)
    app.text_input(key="prompt").set_value("w4 w9 w5 w6")
    assert "5 tokens; the limit is 4" in sound(app.run()).error[0].value
    assert "Trace" not in labels(app)


def test_trace_opens_the_graph(loading: Loading) -> None:
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9 w5")
    sound(app.run())
    button(app, "Trace").click()
    sound(app.run())
    (job,) = running().jobs()
    shown = app.query_params.get("job")
    assert shown in (job.id, [job.id]) or (shown is None and running().wait(job.id, 0).over)
    over = running().wait(job.id, 30)
    assert over is not None and over.error is None
    sound(app.run())  # the panel sees that it is over, and the page goes to the graph
    until(lambda: "Attribution graph" in texts(sound(app.run())))


def test_a_way_to_the_graph_that_was_broken_off_is_taken_again(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9 w5")
    sound(app.run())
    switch, breaks = st.switch_page, [st.stop]  # as by a click that comes meanwhile
    monkeypatch.setattr(st, "switch_page", lambda *a, **k: breaks.pop()() if breaks else switch(*a, **k))
    button(app, "Trace").click()
    sound(app.run())
    until(lambda: "Attribution graph" in texts(sound(app.run())))
    assert not breaks


def test_a_refusal_is_shown(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9 w5")
    sound(app.run())
    running().switch_model("/nowhere", "neurons", somebody("me"))  # between the drawing of the button and the click
    loading.go.clear()
    button(app, "Trace").click()
    sound(app.run())
    assert any("Not traced: the model" in e.value for e in app.error)


def test_an_unknown_job_is_said(loading: Loading) -> None:
    ready()
    app = open_page(job="nothing")
    assert "The job in this link is over and no longer listed" in texts(app)


def test_recent_graphs_and_change(loading: Loading) -> None:
    traced("w4 w9 w2")
    app = open_page()
    assert "w4 w9 w2" in texts(app)
    button(app, "Change").click()
    sound(app.run())
    assert app.text_input(key="prompt").value == "w4 w9 w2"
    assert not app.warning


def test_what_was_typed_is_still_there_after_a_look_at_another_page(loading: Loading) -> None:
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9 w2")
    sound(app.run())
    app.number_input(key="max_nodes").set_value(50)
    sound(app.run())
    sound(app.switch_page("pages/system.py").run())
    for key in ("prompt", "max_nodes", "max_logits", "logit_mass", "target_kind", "several_lines"):
        if key in app.session_state:
            del app.session_state[key]  # as a browser's session does, AppTest does not
    sound(app.run())
    sound(app.switch_page("pages/trace.py").run())
    assert app.text_input(key="prompt").value == "w4 w9 w2"
    assert app.number_input(key="max_nodes").value == 50
    assert not app.warning


def test_a_graph_that_was_opened_elsewhere_is_not_opened_again(loading: Loading) -> None:
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9 w5")
    sound(app.run())
    button(app, "Trace").click()
    sound(app.run())
    (job,) = running().jobs()
    running().wait(job.id, 30)
    app.switch_page("pages/graph.py")
    app.query_params["graph"] = job.key
    assert "Attribution graph" in texts(sound(app.run()))
    app.query_params.clear()
    sound(app.switch_page("pages/trace.py").run())
    assert "Trace a prompt" in texts(sound(app.run()))


def test_examples_fill_the_prompt(loading: Loading) -> None:
    ready()
    app = open_page()
    uses = [b for b in app.button if b.label == "Use"]
    assert len(uses) == 10
    uses[-1].click()  # the one with a difference; its tokens are not this model's
    sound(app.run())
    assert app.text_input(key="prompt").value == "The key to the cabinets"
    assert "Trace" in labels(app)


def chat_switch(app) -> list:
    return [c for c in app.button_group if "Chat" in c.options]


def test_no_chat_switch_without_a_template(loading: Loading) -> None:
    ready()
    assert not chat_switch(open_page())


def test_chat_switch_with_a_template(loading: Loading, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_MODEL", str(tiny_chat))
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9")
    assert "3 tokens" in texts(sound(app.run()))
    (switch,) = chat_switch(app)
    switch.set_value("Chat")
    assert "4 tokens" in texts(sound(app.run())), "the template adds one"


def test_several_lines_keep_the_prompt(loading: Loading) -> None:
    ready()
    app = open_page()
    app.text_input(key="prompt").set_value("w4 w9")
    sound(app.run())
    app.toggle(key="several_lines").set_value(True)
    sound(app.run())
    assert app.text_area(key="prompt").value == "w4 w9"
    app.text_area(key="prompt").set_value("w4 w9\nw5")
    assert "4 tokens" in texts(sound(app.run()))


def cut_off(prompt: str) -> Lab:
    """A trace waits, and the server stops as after a crash."""
    open_page()
    service, lab = ready(), ui.session.get_lab()
    service.pause(True, ui.session.me())
    service.submit(TraceRequest(tuple(service.model.token_ids("w4 w9 w5")), prompt=prompt), ui.session.me())
    until(lambda: service._journal is not None and not service._journal._left)
    service.stop(1)
    forget()
    return lab


def test_what_a_crash_cut_off_is_run_again_by_one_click(loading: Loading) -> None:
    lab = cut_off("w4 *w9* w5")
    app = open_page()
    ready()
    app.run()
    assert "w4 *w9* w5 was not traced: the server stopped before." in texts(app).replace("**", "")
    button(app, "Run again").click()
    sound(app.run())
    until(lambda: all(job.over for job in running().jobs()))
    assert [job.state for job in running().jobs()] == [JobState.DONE]
    assert lab.cut_off(ui.session.me()) == [] and "not traced" not in texts(sound(app.run()))


def test_what_was_cut_off_and_traced_since_is_not_offered_again(loading: Loading) -> None:
    lab = cut_off("w4 w9 w5")
    open_page()
    ready()
    traced("w4 w9 w5")
    assert "was not traced" not in texts(open_page())
    assert lab.cut_off(ui.session.me()) == []

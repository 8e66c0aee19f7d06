"""The notebook and the page of one hypothesis, without a browser: on a tiny model, with a real record."""

import threading
from typing import Any

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

import tracer
import ui.hypothesis_list
import ui.session
from lab import About, CommentBody, HypothesisBody, Lab, Person, Record
from lab.runs.run import begin, run
from service import Service
from tests.lab.runs import tiny
from tests.pages.conftest import Loading, button, open_page, ready, running, sound, texts, until
from ui.wizard_draft import Writing

PAGE = "pages/hypotheses.py"
FEW = {"controls": [{"seed": 5, "sets": 19}], "off_target": []}  # quicker; 8 prompts


def model() -> tracer.ReplacementModel:
    found = ready().model
    assert found is not None
    return found


def body(**changes: Any) -> HypothesisBody:
    """About the model of the pages."""
    there = {"model": model().name, "features": model().basis.name}
    prints = {"model_fingerprint": model().model_fingerprint, "basis_fingerprint": model().basis_fingerprint}
    return tiny.hypothesis(**(there | prints | FEW | changes))


def lab_and_me() -> tuple[Lab, Person]:
    return ui.session.get_lab(), ui.session.me()


def written(**changes: Any) -> Record[HypothesisBody]:
    lab, viewer = lab_and_me()
    return lab.create(viewer, About(), body(**changes))


def frozen(**changes: Any) -> Record[HypothesisBody]:
    lab, viewer = lab_and_me()
    record = written(**changes)
    lab.freeze(record.id, viewer, 1)
    return record


def ran(record: Record[HypothesisBody], prompts: int | None = None) -> str:
    """Behind the page's back, as a server that was killed may have left it; the run's id."""
    lab, viewer = lab_and_me()
    begun = begin(lab, viewer, lab.hypothesis_file(record.id, record.head.number, viewer), model())
    for n, _ in enumerate(run(lab, viewer, begun, model()), start=1):
        if n == prompts:
            break
    return begun.id


def changed(id: str, body: str) -> None:
    """In the database, behind the record's back."""
    with ui.session.get_lab()._engine.begin() as connection:
        connection.execute(text(f"UPDATE revisions SET body = {body} WHERE record_id = :id"), {"id": id})


def again(app: AppTest) -> AppTest:
    return sound(app.run())


def labels(app: AppTest) -> list[str]:
    return [b.label.replace("\\", "") for b in app.button]


def over(service: Service) -> None:
    until(lambda: service.jobs() and all(job.over for job in service.jobs()))


def test_from_a_draft_to_a_verdict(loading: Loading) -> None:
    record = written(model_fingerprint="", basis_fingerprint="")
    app = open_page(PAGE)
    assert "In no notebook" in texts(app) and "draft" in texts(app)
    button(app, "Tiny").click()
    again(app)
    assert "Two neurons lower w3." in texts(app) and "Run as a draft" in labels(app)
    assert "takes up what was open: the fingerprints of what is loaded" in texts(app)
    button(app, "Freeze it for good").click()
    again(app)
    lab, viewer = lab_and_me()
    (freeze,) = lab.freezes(record.id, viewer)
    assert freeze.version == 2 and freeze.hash in texts(app) and "it holds" in texts(app)
    assert "runs with edits, about" in texts(app)
    button(app, "Run").click()
    again(app)
    over(running())
    again(app)
    assert "Run again" in labels(app) and "19 control sets did as much" in texts(app)
    listed = texts(open_page(PAGE))
    assert "finished" in listed and "exploratory" not in listed
    assert any(word in listed for word in ("supported", "refuted", "inconclusive"))
    lab.save(record.id, viewer, body(title="They do nothing", kind="no_effect", direction="two_sided"), 2)
    app = open_page(PAGE)
    assert "They do nothing" not in labels(app) and texts(app).count("necessity") == listed.count("necessity")
    assert "Version 2. There is a later one: version 3, a draft." in texts(app)
    button(app, "Tiny").click()
    assert "Version 2 of 3" in texts(again(app)) and app.query_params["version"] == "2"


def test_a_run_of_a_draft_is_exploratory_everywhere(loading: Loading) -> None:
    record = written()
    app = open_page(PAGE, hypothesis=record.id)
    assert "A run of a draft is exploratory" in texts(app)
    button(app, "Run as a draft").click()
    again(app)
    over(running())
    assert "the hypothesis was not frozen" in texts(again(app))
    listed = texts(open_page(PAGE))
    assert "exploratory" in listed and "finished" not in listed
    button(app, "Freeze it for good").click()
    shown = texts(again(app))
    assert "1 run of this text was begun before it was frozen" in shown and "the hypothesis was not frozen" in shown


def test_what_a_killed_server_left_goes_on(loading: Loading) -> None:
    record = frozen()
    id = ran(record, prompts=3)
    assert "cut off, 3 of 8" in texts(open_page(PAGE))
    app = open_page(PAGE, hypothesis=record.id)
    assert "it holds" in texts(app)
    lab, viewer = lab_and_me()
    before = lab.figures(id, viewer)
    button(app, "Go on: 3 of 8 prompts are kept").click()
    again(app)
    over(running())
    after = lab.figures(id, viewer)
    assert len(after.prompts) == 8 and {part: after.times[part] for part in before.times} == before.times
    assert "Run again" in labels(again(app)) and len(lab.find("run", viewer)) == 1


def test_progress_cancel_and_what_is_kept(loading: Loading) -> None:
    gate, steer_many = threading.Semaphore(2), model().steer_many

    def slowly(*args: Any, conditions: Any, progress: Any = tracer.errors.silent, **named: Any) -> Any:
        while len(conditions) > 17 and not gate.acquire(timeout=0.01):
            progress("baseline", 0.0)
        return steer_many(*args, conditions=conditions, progress=progress, **named)

    record = frozen()
    app = open_page(PAGE, hypothesis=record.id)
    model().steer_many = slowly  # type: ignore[method-assign]
    button(app, "Run").click()
    again(app)
    lab, viewer = lab_and_me()
    (run_,) = lab.find("run", viewer)
    until(lambda: lab.finished([run_.id], run_.owner).get(run_.id) == 3)  # two, and one that is left out
    assert "3 of 8 prompts are finished and kept" in texts(again(app))
    assert "running 3 of 8" in texts(open_page(PAGE))
    shown = texts(open_page(PAGE, hypothesis=written(title="Other").id))
    assert "The server is busy: how long that takes" in shown and "runs with edits, about" not in shown
    app.button(key=f"cancel_page_{running().jobs()[0].id}").click()
    again(app)
    over(running())
    assert "Cancelled. What is finished is kept." in texts(again(app))
    assert "Go on: 3 of 8 prompts are kept" in labels(app)


def test_tampering_is_shown_on_both_pages(loading: Loading) -> None:
    record, other = frozen(), frozen(title="Untouched")
    changed(record.id, "replace(body, '0.01', '0.02')")
    app = open_page(PAGE)
    assert texts(app).count("tampered with") == 1
    app = open_page(PAGE, hypothesis=record.id)
    assert "Tampered with: version 1 is not what was frozen" in app.error[0].value.replace("\\", "")
    assert "Tampered" not in texts(open_page(PAGE, hypothesis=other.id))
    changed(record.id, "'{}'")
    app = open_page(PAGE, hypothesis=record.id)
    assert "can't be read: it was changed in the database" in texts(app)
    assert "Tampered with: version 1 can't be read" in texts(app)
    assert "can't be read" in texts(open_page(PAGE)) and "Untouched" in labels(open_page(PAGE))


def test_deleted_undone_and_restored(loading: Loading) -> None:
    record = written()
    app = open_page(PAGE, hypothesis=record.id)
    button(app, "Delete the hypothesis").click()
    again(app)
    assert "No hypotheses yet" in texts(app) and "Deleted by you: 1" in [e.label for e in app.expander]
    assert "This hypothesis was deleted" in texts(open_page(PAGE, hypothesis=record.id))
    button(app, "Undo").click()
    again(app)
    assert "Tiny" in labels(app) and "Restore" not in labels(app)


def test_who_sees_it_and_others_can_not_change_that(loading: Loading) -> None:
    record, (lab, _) = written(), lab_and_me()
    ran(record, prompts=1)
    app = open_page(PAGE, hypothesis=record.id)
    app.segmented_control(key=f"who_sees_{record.id}").set_value("private")
    again(app)
    ben = lab.person("local", "ben", "Ben")
    assert lab.find("hypothesis", ben) == lab.find("run", ben) == []
    app.checkbox(key=f"grid_{record.id}_1").check()
    button(again(app), "Run as a draft").click()
    again(app)
    assert lab.find("run", ben) == [] and len(lab.find("run", ui.session.me())) == 2  # a draft's run is as private
    theirs = lab.create(ben, About(), body(title="Ben's"))
    app = open_page(PAGE, hypothesis=theirs.id)
    assert app.segmented_control(key=f"who_sees_{theirs.id}").disabled
    assert button(app, "Delete the hypothesis").disabled


def test_versions_are_compared_and_opened(loading: Loading) -> None:
    record, (lab, viewer) = frozen(), lab_and_me()
    lab.save(record.id, viewer, body(smallest_effect=0.5, title="Larger"), 1)
    app = open_page(PAGE, hypothesis=record.id)
    assert "Edit the draft" in labels(app)
    (table,) = [frame.value for frame in app.dataframe if "field" in frame.value]
    assert table["field"].tolist() == ["title", "smallest effect"] and table["version 2"].tolist() == ["Larger", "0.5"]
    button(app, "Version 1").click()
    again(app)
    assert "Version 1 of 2" in texts(app) and "Write the next version" in labels(app)
    button(app, "Write the next version").click()
    app.run()
    assert app.query_params["write"] == record.id
    lab.freeze(record.id, viewer, 2)
    assert "exploratory: changes a frozen version" in texts(open_page(PAGE, hypothesis=record.id))


def test_comments_are_added_and_taken_away_by_their_authors(loading: Loading) -> None:
    record, (lab, _) = written(), lab_and_me()
    ben = lab.person("local", "ben", "Ben")
    lab.create(ben, About(hypothesis=record.id), CommentBody(text="why <b>clamp</b>?"))
    app = open_page(PAGE, hypothesis=record.id)
    assert "why <b>clamp</b>?" in [t.value for t in app.text] and "Take away" not in labels(app)
    field = f"comment_text_{record.id}"
    app.text_area(key=field).set_value("as the *papers* do")
    button(app, "Comment").click()
    again(app)
    assert "as the *papers* do" in [t.value for t in app.text] and app.text_area(key=field).value == ""
    button(app, "Take away").click()
    assert "as the *papers* do" not in [t.value for t in again(app).text]
    app.query_params["hypothesis"] = written(title="Other").id
    assert "Undo: bring the comment back" not in labels(again(app))
    app.query_params["hypothesis"] = record.id
    button(again(app), "Undo: bring the comment back").click()
    assert "as the *papers* do" in [t.value for t in again(app).text]
    app.text_area(key=field).set_value("one\x00two")
    button(app, "Comment").click()
    assert len(app.error) == 0 and again(app).error
    assert app.text_area(key=field).value == "one\x00two"


def test_many_are_searched_and_filtered(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(9):
        written(title=f"Claim {n}", notebook="Names" if n else "Verbs")
    frozen(title="Frozen one")
    app = open_page(PAGE)
    assert [s.value for s in app.subheader][:3] == ["Names", "Verbs", "In no notebook"]
    app.text_input(key="hypothesis_search").set_value("claim names")
    assert [label for label in labels(again(app)) if label.startswith("Claim")] == [
        f"Claim {n}" for n in range(8, 0, -1)
    ]
    app.text_input(key="hypothesis_search").set_value("")
    app.pills(key="hypothesis_states").set_value(["frozen"])
    assert "Frozen one" in labels(again(app)) and "Claim 3" not in labels(app)
    monkeypatch.setattr(ui.hypothesis_list, "A_PAGE", 4)
    app.pills(key="hypothesis_states").set_value([])
    app.session_state["hypothesis_page"] = 3
    assert [label for label in labels(again(app)) if label.startswith(("Claim", "Frozen"))] == ["Claim 0", "Frozen one"]
    app.text_input(key="hypothesis_search").set_value("claim names")  # two pages
    assert "Claim 8" in labels(again(app)) and app.session_state["hypothesis_page"] == 1


def test_what_can_not_be_run_is_said(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_MAX_TOKENS", "7")
    record = written(model="gemma-3-270m", model_fingerprint="1" * 64)
    app = open_page(PAGE, hypothesis=record.id)
    assert "It is about gemma-3-270m with neurons" in texts(app) and not any("Run" in label for label in labels(app))
    record = written(prompts=tiny.prompts(4))
    assert "It can't be run: 4 units can't reach" in texts(open_page(PAGE, hypothesis=record.id))
    shown = texts(open_page(PAGE, hypothesis=written().id))  # a prompt has 8 tokens: its pace is not measured
    assert "runs with edits" in shown and "runs with edits, about" not in shown


def test_a_worked_example_is_listed_and_opened(loading: Loading) -> None:
    title = "The football neuron alone leaves capitals alone"
    app = open_page(PAGE)
    assert "No hypotheses yet" in texts(app) and title in labels(app)
    ready()
    button(app, title).click()
    again(app)
    assert title in [h.value for h in app.header] and "lies within" in texts(app)
    assert "Run" not in labels(app) and "frozen 27 Nov 2026" in texts(app)
    assert form_of(app).title == title
    assert "This was begun with gemma-3-270m" in texts(app)


def test_another_is_written_from_a_version_that_is_there(loading: Loading) -> None:
    record = frozen()
    found = form_of(open_page(PAGE, hypothesis=record.id))
    assert (found.record, found.title, found.controls) == (None, "Tiny", record.head.body.controls)


def form_of(app: AppTest) -> Writing:
    """What the button fills the wizard with."""
    app.button(key="copy").click().run()
    assert sound(app).query_params["write"] == "new"
    (writing,) = app.session_state["wizards"].values()
    return writing


@pytest.mark.parametrize("id", ["0" * 12, "<b>x</b>", "\x00"])
def test_a_link_to_nothing_is_one_line(loading: Loading, id: str) -> None:
    ready()
    assert "can't be opened" in open_page(PAGE, hypothesis=id).error[0].value
    assert "can't be opened" in open_page(PAGE, example=id).error[0].value

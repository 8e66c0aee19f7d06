"""The Batch page without a browser: prompts traced as jobs, what recurs, what is shared, the way to a hypothesis."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ui.session
from lab import About, BatchBody, BatchItem, Record, Role
from service import Refused, TraceRequest
from service.batches import folder
from tests.helpers import somebody
from tests.pages.conftest import Loading, button, open_page, ready, running, sound, texts, traced, until
from tracer import Graph
from tracer.graph.aggregate import recurring, sheet
from ui.batch_source import of_record
from ui.batch_trace import asked_in_file, items_of, request_of

PROMPTS = ["w4 w9 w2", "w7 w9 w2", "w4 w9 w5", "w8 w9 w2 w5", "w4 w3 w2", "w6 w9 w2"]


def saved_batch(prompts: list[str] = PROMPTS, families: list[str] | None = None, **more: Any) -> str:
    """A batch of traced graphs; its id."""
    keys = [traced(prompt, max_nodes=60) for prompt in prompts]
    kinds = families or [None] * len(keys)  # type: ignore[list-item]
    items = [BatchItem(key=k, prompt=p, family=f) for k, p, f in zip(keys, prompts, kinds, strict=True)]
    return ui.session.get_lab().create(ui.session.me(), About(), BatchBody(title="Six", items=tuple(items)), **more).id


def frame(app: Any, column: str) -> pd.DataFrame:
    (found,) = [one.value for one in app.dataframe if column in one.value]
    return found


def all_of_them(app: Any) -> Any:
    app.select_slider(key="batch_least").set_value(0.0)
    return sound(app.run())


def select(app: Any, key: str, rows: list[int]) -> Any:
    """AppTest has no setter for rows: what the browser would send, into the table of this key (its beginning)."""
    (name,) = [name for name in app.session_state._state.filtered_state if re.fullmatch(rf"{key}-?\d+", name)]
    app.session_state[name] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    return sound(app.run())


def test_prompts_are_traced_in_turn_and_kept_as_a_batch_with_a_link(loading: Loading) -> None:
    service = ready()
    app = open_page("pages/batch.py")
    assert "None yet. Trace prompts above" in texts(app)
    app.text_area(key="batch_lines").set_value("w4 w9 w2\n\n w7 w9 w2 \nw4 w9 w2\nw5 w6\nw1 w2\nw3")
    app.number_input(key="batch_nodes").set_value(60)
    sound(app.run())
    app.button(key="batch_trace").click()
    sound(app.run())
    (record,) = ui.session.get_lab().find("batch", ui.session.me())
    assert record.head.body.title == "w4 w9 w2 and 4 more" and record.head.body.max_nodes == 60
    assert app.query_params["batch"] == record.id
    waiting = [job for job in service.jobs() if not job.over]
    assert len(waiting) <= 3  # the others are handed in as these end

    def all_there() -> bool:
        app.run()
        return all(item.key in service.cache for item in record.head.body.items)

    until(all_there)
    sound(app.run())
    assert "5 graphs ·" in texts(app) and not app.error
    assert len([job for job in service.jobs() if job.key in {item.key for item in record.head.body.items}]) == 5


def test_recurring_features_are_those_of_the_engine(loading: Loading) -> None:
    id = saved_batch()
    app = all_of_them(open_page("pages/batch.py", batch=id))
    record: Record[BatchBody] = ui.session.get_lab().get(id, ui.session.me())
    graphs = {item.key: running().graph(item.key) for item in record.head.body.items}
    expected = recurring([sheet(key, graph) for key, graph in graphs.items() if graph is not None])
    shown = frame(app, "strongest on")
    assert shown["graphs"].tolist() == expected["graphs"].head(500).tolist()
    first = expected.iloc[0]
    assert shown["feature"][0] == f"L{first['layer']} · {first['feature']}"
    assert shown["at least"][0] == pytest.approx(100 * first["low"]) and shown["at most"][0] == pytest.approx(100)
    assert shown["influence"][0] == pytest.approx(100 * first["influence_mean"])
    app.text_input(key="batch_search").set_value(f"{first['layer']}/{first['feature']}")
    sound(app.run())
    assert shown["feature"][0] in frame(app, "strongest on")["feature"].tolist()
    assert len(frame(app, "strongest on")) < len(shown)


def test_a_checked_feature_leads_to_its_graph_and_to_a_hypothesis(loading: Loading) -> None:
    id = saved_batch(visibility="private")
    app = all_of_them(open_page("pages/batch.py", batch=id))
    shown = frame(app, "strongest on")
    app = select(app, "batch_features_", [0, 2])
    links = [link for link in app.get("page_link") if shown["feature"][0] in link.proto.label]
    assert len(links) == 1 and "select=" in links[0].proto.query_string
    app.button(key="batch_hypothesis").click()
    sound(app.run())
    assert app.title[0].value == "Hypotheses"
    writing = app.session_state["wizards"][app.session_state["wizard_now"]]
    assert [piece.name for piece in writing.pieces] == [shown["feature"][0], shown["feature"][2]]
    assert [prompt.text for prompt in writing.prompts] == PROMPTS
    assert set(writing.seen) == set(PROMPTS)  # what chose the features can't test them
    assert writing.visibility == "private"  # as the batch is


def test_half_can_be_kept_for_the_test_and_families_stay_together(loading: Loading) -> None:
    id = saved_batch(families=["a", "a", "b", "b", "c", "c"])
    app = all_of_them(open_page("pages/batch.py", batch=id))
    app.toggle(key="batch_half").set_value(True)
    sound(app.run())
    assert "4 graphs of 6" in texts(app)  # two of three families
    app = select(app, "batch_features_", [0])
    assert "the 2 that were kept back can" in texts(app)
    app.button(key="batch_hypothesis").click()
    sound(app.run())
    writing = app.session_state["wizards"][app.session_state["wizard_now"]]
    held = [prompt for prompt in writing.prompts if prompt.text not in writing.seen]
    assert len(held) == 2 and len({prompt.family for prompt in held}) == 1


def test_circuit_and_graphs(loading: Loading) -> None:
    id = saved_batch()
    app = all_of_them(open_page("pages/batch.py", batch=id))
    app.segmented_control(key="batch_view").set_value("Circuit")
    sound(app.run())
    edges = frame(app, "both")
    assert (edges["share"] >= 50).all() and {"tokens", "targets"} & {*edges["from"], *edges["to"]}
    assert (edges["lower"] <= edges["edge"]).all() and (edges["at least"] <= edges["share"]).all()
    app.slider(key="batch_circuit_share").set_value(100)
    sound(app.run())
    assert len(frame(app, "both")) == (edges["share"] == 100).sum() > 0
    app.segmented_control(key="batch_view").set_value("Graphs")
    sound(app.run())
    table = frame(app, "row error")
    assert table["prompt"].tolist() == PROMPTS
    graph = running().graph(ui.session.get_lab().get(id, ui.session.me()).head.body.items[2].key)
    assert graph is not None and table["replacement"][2] == pytest.approx(graph.scores().replacement)
    app = select(app, "batch_graphs_", [2])
    assert any(link.proto.label.replace("\\", "") == "w4 w9 w5" for link in app.get("page_link"))


def test_graphs_of_the_library_are_looked_at_together(loading: Loading) -> None:
    for prompt in PROMPTS[:3]:
        traced(prompt, max_nodes=60)
    app = open_page("pages/library.py")
    app.text_input(key="library_search").set_value("w9")
    sound(app.run())
    button(app, "Look at these 3 together").click()
    sound(app.run())
    assert app.title[0].value == "Batch" and "3 graphs ·" in texts(app)
    (record,) = ui.session.get_lab().find("batch", ui.session.me())
    assert len(record.head.body.items) == 3


def test_a_viewer_looks_but_does_not_trace(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    id = saved_batch(PROMPTS[:3])
    secret = saved_batch(PROMPTS[:2], visibility="private")
    viewer = ui.session.get_lab().person("test", "viewer", "Vi", Role.VIEWER)
    for module in ("session", "batch_source", "batch_start", "batch_trace", "batch_view", "batch_features"):
        monkeypatch.setattr(f"ui.{module}.me", lambda: viewer)
    app = open_page("pages/batch.py")
    assert app.button(key="batch_trace").disabled
    assert frame(app, "prompts")["title"].tolist() == ["Six"]  # not the private one
    app = all_of_them(open_page("pages/batch.py", batch=id))
    assert not frame(app, "strongest on").empty
    assert not [b for b in app.button if b.key in ("batch_go", "batch_delete")]
    app = open_page("pages/batch.py", batch=secret)
    assert len(app.error) == 1 and "Six" not in app.error[0].value and not app.metric
    app = open_page("pages/library.py")
    app.text_input(key="library_search").set_value("w9")
    sound(app.run())
    button(app, "Look at these 3 together").click()
    sound(app.run())
    assert app.query_params["batch"] == "unsaved" and "3 graphs ·" in texts(app)


def test_a_batch_folder_opens_with_what_failed_and_its_graphs_by_their_key(loading: Loading, tmp_path: Path) -> None:
    service = ready()
    model = service.model
    assert model is not None
    about = folder.About(
        title="From the cluster",
        model="tiny",
        features="neurons",
        fingerprints=folder.Fingerprints(model=model.model_fingerprint, basis=model.basis_fingerprint, engine="1"),
    )
    keys = [f"{i:064x}" for i in range(3)]
    items = [folder.Item(row=i + 1, prompt=p, key=k) for i, (p, k) in enumerate(zip(PROMPTS, keys, strict=False))]
    made = folder.create(tmp_path / "batches" / "one", about, items)
    for key, prompt in zip(keys[:2], PROMPTS, strict=False):
        made.keep(key, model.trace(prompt, max_nodes=60), 1.0)
    made.fail(keys[2], "the prompt is <b>too long</b>", 0.1)
    (tmp_path / "batches" / "two").mkdir()
    app = open_page("pages/batch.py")
    assert frame(app, "folder")["folder"].tolist() == ["one"] and "batch.json" in app.warning[0].value.replace("\\", "")
    app = all_of_them(open_page("pages/batch.py", folder="one"))
    assert "2 graphs ·" in texts(app) and "the prompt is <b>too long</b>" in texts(app) and "1 failed." in texts(app)
    assert len(frame(app, "strongest on")) > 5
    app = open_page("pages/graph.py", graph=keys[1])
    assert not app.error and service.cache.get(keys[1]) is None  # it stays where it is
    app = open_page("pages/batch.py", folder="../one")
    assert len(app.error) == 1 and "no such batch folder" in app.error[0].value


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("w1\n" + "w4 " * 600, "Prompt 2: the prompt has 601 tokens"),
        ("\n".join(f"w{i}" for i in range(1001)), "1,001 prompts"),
    ],
)
def test_prompts_that_can_not_be_traced_are_one_line(loading: Loading, lines: str, message: str) -> None:
    ready()
    app = open_page("pages/batch.py")
    app.text_area(key="batch_lines").set_value(lines)
    sound(app.run())
    app.button(key="batch_trace").click()
    sound(app.run())
    (error,) = app.error
    assert message in error.value.replace("\\", "") and "\n" not in error.value
    assert not ui.session.get_lab().find("batch", ui.session.me())


def test_a_file_of_prompts_gives_targets_and_families(loading: Loading) -> None:
    model = ready().model
    assert model is not None
    lines = [
        {"prompt": "w4 w9", "target": "w7", "minus": "w8", "family": "a"},
        {"tokens": [0, 4, 9], "target": 5},
        {"prompt": "w1"},
    ]
    items = items_of(asked_in_file("\n".join(map(json.dumps, lines)).encode(), "x.JSONL"), model, 100, 60)
    requests = [request_of(item, 60) for item in items]
    assert requests[0].targets is not None and (requests[0].targets.a, requests[0].targets.b) == (9, 10)  # type: ignore[union-attr]
    assert (items[0].target, items[0].competitor, items[0].family) == ("w7", "w8", "a")
    assert requests[1] == TraceRequest((0, 4, 9), items[1].prompt, targets=(5,), max_nodes=60)
    assert requests[2].targets is None and len({item.key for item in items}) == 3


def test_links_that_lead_nowhere_are_one_line(loading: Loading) -> None:
    ready()
    for query in ({"batch": "<b>0</b>"}, {"batch": "unsaved"}, {"folder": "/etc"}):
        app = open_page("pages/batch.py", **query)
        assert len(app.error) == 1 and "\n" not in app.error[0].value


def of_another_model(prompts: list[str]) -> list[str]:
    """Graphs, as of a model that is not loaded; their keys."""
    keys = []
    for number, prompt in enumerate(prompts):
        kept = running().graph(traced(prompt, max_nodes=60))
        assert kept is not None
        graph = Graph.from_bytes(kept.to_bytes())
        graph.meta |= {"model": "other", "model_fingerprint": "o" * 64}
        keys.append(f"{number:x}" * 64)
        running().keep_graph(keys[-1], graph, somebody("me"))
    return keys


def test_graphs_of_another_model_are_left_out_or_are_what_the_hypothesis_is_about(loading: Loading) -> None:
    keys = of_another_model(PROMPTS[:3])
    items = [BatchItem(key=key, prompt=prompt) for key, prompt in zip(keys, PROMPTS, strict=False)]
    own = [BatchItem(key=traced(prompt, max_nodes=60), prompt=prompt) for prompt in PROMPTS[:2]]
    lab, me = ui.session.get_lab(), ui.session.me()
    both = lab.create(me, About(), BatchBody(title="Both", items=(*items, *own)), "lab").id
    app = open_page("pages/batch.py", batch=both)
    assert "3 graphs · other" in texts(app)
    assert "2 of its graphs are left out" in texts(app) and "it is of another model or feature set" in texts(app)
    other = lab.create(me, About(), BatchBody(title="Other", items=tuple(items)), "lab").id
    app = select(all_of_them(open_page("pages/batch.py", batch=other)), "batch_features_", [0])
    app.button(key="batch_hypothesis").click()
    sound(app.run())
    writing = app.session_state["wizards"][app.session_state["wizard_now"]]
    assert (writing.model, writing.model_fingerprint) == ("other", "o" * 64)
    assert "in which the numbers of features mean something else" in texts(app)


def begun(app: Any) -> Record[BatchBody]:
    app.text_area(key="batch_lines").set_value("\n".join(PROMPTS))
    app.number_input(key="batch_nodes").set_value(60)
    sound(app.run())
    app.button(key="batch_trace").click()
    sound(app.run())
    (record,) = ui.session.get_lab().find("batch", ui.session.me())
    return record


def n_jobs(record: Record[BatchBody]) -> int:
    return len([job for job in running().jobs() if job.key in {item.key for item in record.head.body.items}])


def looked(app: Any, found: Callable[[], Any]) -> str:
    """The page is run until that is true, and then some times more; what it says."""

    def again() -> Any:
        sound(app.run())
        return found()

    until(again)
    for _ in range(5):
        sound(app.run())
    return texts(app)


def test_what_is_cancelled_in_the_sidebar_stays_so_until_it_is_asked_for_again(loading: Loading) -> None:
    service, me = ready(), ui.session.me()
    service.pause(True, me)
    app = open_page("pages/batch.py")
    record = begun(app)
    service.cancel(next(job for job in service.jobs() if job.position == 2).id, me)
    service.pause(False, me)
    keys = {item.key for item in record.head.body.items}
    said = looked(app, lambda: len([key for key in keys if key in service.cache]) == 5)
    assert f"Not traced: “{PROMPTS[1]}”: cancelled" in said and n_jobs(record) == 6
    app.button(key="batch_go").click()
    looked(app, lambda: all(key in service.cache for key in keys))
    assert n_jobs(record) == 7


def test_a_batch_that_the_cache_can_not_hold_ends_and_says_so(loading: Loading) -> None:
    service = ready()
    service.cache.size_limit = 1
    app = open_page("pages/batch.py")
    record = begun(app)
    said = looked(app, lambda: [job for job in service.jobs() if job.over])
    assert "What was traced is not kept" in said and "could not be kept" in said
    until(lambda: all(job.over for job in service.jobs()))
    looked(app, lambda: True)
    assert n_jobs(record) <= 3  # what was handed in at once


def test_who_looks_at_a_batch_that_another_traces_is_not_told_to_keep_the_page_open(loading: Loading) -> None:
    service, me = ready(), ui.session.me()
    service.pause(True, me)
    record = begun(open_page("pages/batch.py"))
    other = ui.session.get_lab().person("test", "other", "Other")
    service.submit(request_of(record.head.body.items[0], 60), other)
    for job in service.jobs():
        service.cancel(job.id, me)
    app = open_page("pages/batch.py", batch=record.id)
    assert "are being traced" in texts(app) and "Keep this page open" not in texts(app)
    assert not [b for b in app.button if b.key in ("batch_cancel", "batch_go")]
    service.pause(False, me)


def test_a_refusal_stays_on_the_page(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    service = ready()

    def refuses(*_: Any) -> None:
        raise Refused("your graphs fill your share of the disk")

    with monkeypatch.context() as patched:
        patched.setattr(service, "submit", refuses)
        app = open_page("pages/batch.py")
        begun(app)
        assert "Your graphs fill your share of the disk" in looked(app, lambda: True)
    app.button(key="batch_go").click()
    assert "fill your share" not in looked(app, lambda: len(service.cache) == len(PROMPTS))


def test_a_batch_that_is_deleted_in_another_tab_is_not_traced_on_and_its_link_brings_it_back(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, lab, me = ready(), ui.session.get_lab(), ui.session.me()
    service.pause(True, me)
    app = open_page("pages/batch.py")
    record = begun(app)
    batch = of_record(service, record.id)
    lab.delete(record.id, me)
    with monkeypatch.context() as patched:
        patched.setattr("ui.batch_view.opened", lambda _: batch)  # the fragment alone runs, with what it had
        sound(app.run())
    assert n_jobs(record) == 3 and all(job.over for job in service.jobs())
    service.pause(False, me)
    assert "brings it back" in texts(sound(app.run()))
    app = open_page("pages/batch.py", batch=record.id)
    app.button(key="undo_batch").click()
    sound(app.run())
    assert lab.get(record.id, me).deleted is None

"""Files and pasted texts of other programs, on the page: what comes in, what is refused, and that all of it is text."""

import copy
import json
from typing import Any

import pytest

import ui.session
from lab import About, LabelBody
from tests.pages.conftest import Loading, button, open_page, ready, running, sound, texts
from tests.tracer.interchange.test_frontend_reader import HOSTILE, small
from tracer.interchange import Limits
from ui.export_menu import as_json

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def paste(document: object) -> Any:
    app = open_page("pages/library.py")
    text = document if isinstance(document, str) else json.dumps(document)
    app.text_area(key="import_text").set_value(text)
    button(app, "Import the text").click()
    return sound(app.run())


def upload(data: bytes, name: str = "graph.json") -> Any:
    app = open_page("pages/library.py")
    app.file_uploader(key="import_file").upload(name, data, "application/json")
    return sound(app.run())


def test_a_pasted_text_becomes_a_graph(loading: Loading) -> None:
    ready()
    document = small()
    document["qParams"] = {"pinnedIds": ["1_9_2", "gone"], "supernodes": [["nine", "1_9_2"]]}
    app = paste(document)
    assert "Imported, with 1 pins, 1 groups, 1 labels." in texts(app)
    assert "Ignored: 1 pins and members that are not there" in texts(app)
    (entry,) = running().cache.recent(5)
    graph = running().graph(entry.key)
    assert graph is not None and graph.layout.n_features == 2 and graph.meta["prompt"] == "abc"
    opened = open_page("pages/graph.py", graph=entry.key)
    assert "Attribution graph" in texts(opened) and "unknown" in [metric.value for metric in opened.metric]


def test_labels_of_a_file_become_the_labs_when_asked(loading: Loading) -> None:
    ready()
    document = small()
    document["nodes"][1]["clerp"], document["nodes"][3]["clerp"] = SCRIPT, "two\nlines"
    app = paste(document)
    lab, viewer = ui.session.get_lab(), ui.session.me()
    assert lab.find("label", viewer) == []
    button(app, "Take its 2 labels into this lab").click()
    sound(app.run())
    assert "2 labels taken" in texts(app)
    (entry,) = running().cache.recent(5)
    found = {r.about.node: r.head.body.text for r in lab.find("label", viewer, About(graph=entry.key))}
    assert found == {"1_9_2": SCRIPT, "E_0": "two lines"}
    app.button(key="undo_labels").click()
    sound(app.run())
    assert lab.find("label", viewer) == [] and button(app, "Take its 2 labels into this lab")


def test_labels_that_the_lab_has_are_left_as_they_are(loading: Loading) -> None:
    ready()
    document = small()
    document["nodes"][3]["clerp"] = "x" * 400  # too long for a label
    app = paste(document)
    lab, viewer = ui.session.get_lab(), ui.session.me()
    (entry,) = running().cache.recent(5)
    lab.create(viewer, About(graph=entry.key, node="1_9_2"), LabelBody(text="ours"))
    button(app, "Take its 2 labels into this lab").click()
    sound(app.run())
    assert "0 labels taken; 1 were no label; 1 left out" in texts(app)
    assert [record.head.body.text for record in lab.find("label", viewer)] == ["ours"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_one_line(loading: Loading, name: str) -> None:
    ready()
    document = copy.deepcopy(small())
    HOSTILE[name][0](document)
    app = paste(document)
    (error,) = app.error
    assert error.value.startswith("Not imported: ") and "\n" not in error.value and "/tmp" not in error.value
    assert len(running().cache) == 0


def test_script_in_every_string_is_text(loading: Loading) -> None:
    """Every name, token, label, group and text of the file; on the import, the graph and the Library pages."""
    ready()
    document = json.loads(json.dumps(small()), object_hook=_poisoned)
    document["metadata"] |= {"model": SCRIPT, "features": SCRIPT, "licence": SCRIPT, "notice": SCRIPT}
    document["qParams"] = {"pinnedIds": ["1_9_2", SCRIPT], "supernodes": [[SCRIPT, "1_9_2"]]}
    document[SCRIPT] = SCRIPT
    app = paste(document)
    assert "Imported, with 1 pins, 1 groups, 6 labels." in texts(app)
    button(app, "Take its 6 labels into this lab").click()
    sound(app.run())
    (entry,) = running().cache.recent(5)
    for page in (open_page("pages/graph.py", graph=entry.key, select="1_9_2"), open_page("pages/library.py")):
        raw = [e.value for kind in ("markdown", "caption", "error", "warning") for e in getattr(page, kind)]
        assert not [text for text in raw if "<script" in text.replace("\\<", "")]
        assert not [e for e in page.markdown if e.proto.allow_html and "alert" in e.value]
    graph = running().graph(entry.key)
    assert graph is not None
    (draft,) = app.session_state["drafts"].values()
    data = as_json("again", graph, graph.prune(1, 1), draft.body, (1, 1), labels={"1_9_2": SCRIPT})
    assert json.loads(data)["metadata"]["prompt"] == SCRIPT


def _poisoned(part: dict) -> dict:
    texts = ("prompt", "slug", "scan", "jsNodeId", "clerp")
    return {
        name: SCRIPT
        if name in texts and part.get("feature_type") != "logit"
        else [SCRIPT] * len(value)
        if name == "prompt_tokens"
        else value
        for name, value in part.items()
    }


def test_a_file_of_100_mb_is_not_read(loading: Loading) -> None:
    ready()
    app = upload(b'{"metadata": "' + b"x" * 100_000_000)
    (error,) = app.error
    assert error.value.replace("\\", "") == (
        "Not imported: the file is longer than 50 MB, the most that is read of such a file."
    )


def test_what_is_nested_deeply_is_not_parsed(loading: Loading) -> None:
    ready()
    for data in (b"[" * 1_000_000, b'{"a":' * 100_000, b'{"metadata":' + b"[" * 60 + b"]" * 60 + b"}"):
        (error,) = upload(data).error
        assert "nested deeper than 50" in error.value


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("HYPOGRAPH_IMPORT_NODES", r"too large"),
        ("HYPOGRAPH_IMPORT_EDGES", r"5 edges (at most 4)"),
        ("HYPOGRAPH_IMPORT_DEPTH", r"nested deeper than 4"),
        ("HYPOGRAPH_IMPORT_MB", r"longer than 1 MB"),
    ],
)
def test_the_limits_are_those_of_the_settings(
    loading: Loading, monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    monkeypatch.setenv(variable, "1" if variable.endswith("MB") else "4")
    ready()
    document = small()
    if variable.endswith("DEPTH"):
        document["metadata"]["generation_settings"] = {"a": [[1]]}
    if variable.endswith("MB"):
        document["more"] = "x" * 1_000_000
    (error,) = paste(document).error
    assert message in error.value.replace("\\", "")
    monkeypatch.delenv(variable)
    assert Limits() != running().settings.import_limits


def test_a_text_that_is_half_a_character_is_refused(loading: Loading) -> None:
    ready()
    (error,) = paste('{"metadata": "\\ud800"').error
    assert error.value.startswith("Not imported: ")

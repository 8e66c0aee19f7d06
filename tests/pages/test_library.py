"""Library, circuits, labels and export, without a browser: on a tiny model, with a real record."""

import csv
import io
import json
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from streamlit.testing.v1 import AppTest

import ui.session
from lab import About, CircuitBody, Group, LabelBody
from tests.helpers import somebody
from tests.pages.conftest import Loading, button, forget, open_page, ready, running, sound, texts, traced
from tracer.dashboards import corpus
from tracer.dashboards.build import build
from tracer.interchange import circuit_tracer, neuronpedia
from ui.export_menu import as_json, edge_table, node_table

TERMS = ["model", "licence", "notice"]


def lab_and_me() -> tuple[ui.session.Lab, ui.session.Person]:
    return ui.session.get_lab(), ui.session.me()


def features(key: str, n: int = 3) -> list[str]:
    """Ids of the most influential feature nodes."""
    graph = running().graph(key)
    assert graph is not None
    order = graph.influence[: graph.layout.n_features].argsort()[::-1]
    return [graph.ids[int(i)] for i in order[:n]]


def again(app: AppTest) -> AppTest:
    """Run once more. No browser holds the canvas's selection here, so its silence must not count as a report."""
    if "selection" in app.session_state:
        app.session_state["selection"].reported = None
    return sound(app.run())


def pinned(key: str) -> AppTest:
    """The graph page with one node pinned."""
    app = open_page("pages/graph.py", graph=key, select=features(key)[0])
    button(app, "Pin").click()
    return again(app)


def test_pin_save_and_open_the_link(loading: Loading) -> None:
    key = traced()
    app = pinned(key)
    assert "not saved" in texts(app) and button(app, "Unpin")
    button(app, "Save").click()
    assert "saved, version 1" in texts(again(app))
    lab, viewer = lab_and_me()
    (record,) = lab.find("circuit", viewer)
    assert record.about.graph == key and record.head.body.pins == (features(key)[0],)
    assert record.head.body.selection == features(key)[0]

    lab.save(record.id, viewer, record.head.body.model_copy(update={"node_threshold": 0.5}), 1)
    other = open_page("pages/graph.py", circuit=record.id)
    assert other.slider(key="nodes").value == 0.5
    assert "saved, version 2" in texts(other) and button(other, "Unpin")


def test_undo_brings_back_what_was_unpinned(loading: Loading) -> None:
    app = pinned(traced())
    app.button(key="circuit_undo").click()
    assert button(again(app), "Pin")
    app.button(key="circuit_redo").click()
    assert button(again(app), "Unpin")


def test_a_conflict_shows_both_and_loses_neither(loading: Loading) -> None:
    key = traced()
    app = pinned(key)
    button(app, "Save").click()
    again(app)
    lab, _ = lab_and_me()
    ben = lab.person("local", "ben", "Ben <b>")
    (record,) = lab.find("circuit", ben)
    lab.save(record.id, ben, record.head.body.model_copy(update={"title": "Ben's title"}), 1)
    app.text_area(key=f"circuit_notes_{key[:12]}").set_value("my notes")
    button(again(app), "Save").click()
    again(app)
    assert "Ben <b> saved version 2 of this circuit" in texts(app).replace("\\", "")
    assert "Ben's title" in texts(app) and "my notes" in texts(app)
    button(app, "Keep mine").click()
    assert "saved, version 3" in texts(again(app))
    assert [r.body.notes for r in lab.history(record.id, ben)] == ["my notes", "", ""]


def test_a_label_is_kept_for_the_feature_and_shown_in_another_graph(loading: Loading) -> None:
    key = traced()
    node = features(key)[0]
    app = open_page("pages/graph.py", graph=key, select=node)
    app.text_input(key=f"label_{node}").set_value("  what <i>it</i> is ")
    again(app)
    lab, viewer = lab_and_me()
    (label,) = lab.find("label", viewer)
    assert label.head.body.text == "what <i>it</i> is" and label.about.graph is None
    layer, feature, _ = node.split("_")
    assert (label.about.layer, label.about.feature) == (int(layer), int(feature))
    app.text_input(key=f"label_{node}").set_value("")
    again(app)
    assert lab.find("label", viewer) == []


def test_each_change_of_a_label_can_be_undone_and_each_version_restored(loading: Loading) -> None:
    key = traced()
    node = features(key)[0]
    app = open_page("pages/graph.py", graph=key, select=node)
    lab, viewer = lab_and_me()

    def label() -> str:
        return str(app.text_input(key=f"label_{node}").value)

    def undo() -> str:
        app.button(key="label_undo_button").click()
        again(app)
        return label()

    for text in ("first", "second", ""):
        app.text_input(key=f"label_{node}").set_value(text)
        again(app)
    assert label() == "" and lab.find("label", viewer) == []
    assert undo() == "second"  # what was taken away is back, with its versions
    app.button(key="restore_label_1").click()
    again(app)
    assert label() == "first" and "first" in texts(app)
    assert undo() == "second"
    assert undo() == "first", "undo of an undo"
    (record,) = lab.find("label", viewer)
    assert [r.body.text for r in lab.history(record.id, viewer)] == ["first", "second", "first", "second", "first"]


def test_two_labels_at_once_are_a_conflict(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    key = traced()
    node = features(key)[0]
    app = open_page("pages/graph.py", graph=key, select=node)
    app.text_input(key=f"label_{node}").set_value("mine")
    again(app)
    lab, viewer = lab_and_me()
    (label,) = lab.find("label", viewer)
    lab.save(label.id, lab.person("local", "ben", "Ben"), LabelBody(text="Ben's"), 1)
    app.text_input(key=f"label_{node}").set_value("mine again")
    again(app)
    assert "Ben called it “Ben's” in the meantime; yours was “mine again”" in texts(app)


def test_a_token_has_a_label_in_its_graph_alone(loading: Loading) -> None:
    key = traced()
    graph = running().graph(key)
    assert graph is not None
    node = graph.ids[graph.layout.first_embedding + 1]
    app = open_page("pages/graph.py", graph=key, select=node)
    app.text_input(key=f"label_{node}").set_value("the subject")
    again(app)
    lab, viewer = lab_and_me()
    (label,) = lab.find("label", viewer)
    assert (label.about.graph, label.about.node) == (key, node)


@pytest.mark.parametrize("id", ["0" * 12, "<b>x</b>", "../x", "\x00"])
def test_a_link_to_no_circuit_is_one_line(loading: Loading, id: str) -> None:
    ready()
    app = open_page("pages/graph.py", circuit=id)
    assert "can't be opened" in app.error[0].value


def test_library_lists_searches_deletes_and_brings_back(loading: Loading) -> None:
    one, two = traced("w4 w9 w2"), traced("w7 w7 w5")
    app = open_page("pages/library.py")
    assert "2 of 2 graphs" in texts(app)
    app.text_input(key="library_search").set_value("w7")
    assert "1 of 2 graphs" in texts(again(app))
    app.text_input(key="library_search").set_value("nothing like that")
    assert "No graph fits the search." in texts(again(app))
    service = running()
    graph = service.forget_graph(one, somebody("me"))
    assert graph is not None and service.graph(one) is None
    app.session_state["forgotten_graph"] = (one, graph)
    app.text_input(key="library_search").set_value("")
    button(again(app), "Undo").click()
    assert "2 of 2 graphs" in texts(again(app))
    assert service.graph(one) is not None and service.graph(two) is not None


def test_library_lists_circuits(loading: Loading) -> None:
    ready()
    lab, viewer = lab_and_me()
    lab.create(viewer, About(graph="f" * 64), CircuitBody(title="Ball games", prompt="Michael Jordan", notes="hops"))
    app = open_page("pages/library.py")
    (table,) = [frame.value for frame in app.dataframe if "title" in frame.value]
    assert table["title"].tolist() == ["Ball games"] and table["graph kept"].tolist() == [False]
    app.text_input(key="library_search").set_value("jordan hops")
    again(app)
    assert [frame.value["title"].tolist() for frame in app.dataframe if "title" in frame.value] == [["Ball games"]]
    app.text_input(key="library_search").set_value("no such circuit")
    assert "No circuit fits the search." in texts(again(app))


def listed(search: str) -> list[str]:
    """The prompts of the graphs that the search finds."""
    app = open_page("pages/library.py")
    app.text_input(key="library_search").set_value(search)
    again(app)
    return [prompt for frame in app.dataframe if "MB" in frame.value for prompt in frame.value["prompt"]]


def test_graphs_are_found_by_the_labels_of_their_features_and_nodes(loading: Loading) -> None:
    one, other = traced("w4 w9 w2", max_nodes=40), traced("w7 w7 w5", max_nodes=40)
    graphs = [running().graph(key) for key in (one, other)]
    here, there = [set(zip(g.layout.layer.tolist(), g.layout.feature.tolist(), strict=True)) for g in graphs]
    layer, feature = min(here - there)
    meta, (lab, viewer) = graphs[0].meta, lab_and_me()
    model, basis = meta["model_fingerprint"], meta["basis_fingerprint"]
    lab.create(viewer, About(model=model, basis=basis, layer=layer, feature=feature), LabelBody(text="Ball games"))
    ben = lab.person("local", "ben", "Ben")
    lab.create(ben, About(graph=other, node="E_1"), LabelBody(text="the subject"))
    assert listed("ball GAMES") == ["w4 w9 w2"]
    assert listed("games w9") == ["w4 w9 w2"] and listed("games w7") == []
    assert listed("subject") == listed("ben") == ["w7 w7 w5"]
    lab.create(viewer, About(model="another", basis=basis, layer=layer, feature=feature), LabelBody(text="elsewhere"))
    assert listed("elsewhere") == []


def test_a_search_by_label_leaves_the_latest_graphs_the_latest(loading: Loading) -> None:
    """To look for features reads the graphs; that must not turn round which of them leave the cache first."""
    keys = [traced(prompt, max_nodes=40) for prompt in ("w4 w9 w2", "w4 w9 w3", "w4 w9 w5")]
    graph = running().graph(keys[0])
    assert graph is not None
    lab, viewer = lab_and_me()
    about = About(model=graph.meta["model_fingerprint"], basis=graph.meta["basis_fingerprint"], layer=0, feature=0)
    lab.create(viewer, about, LabelBody(text="anything"))
    listed("anything")
    used = running().cache._rows("SELECT key FROM Cache ORDER BY access_time LIMIT ?", 9)
    assert [key for (key,) in used] == keys


def test_graphs_are_found_by_date(loading: Loading) -> None:
    traced()
    today = datetime.now()
    assert listed(today.strftime("%Y-%m-%d")) == listed(today.strftime("%d %b %Y")) == ["w4 w9 w2"]
    assert listed("1999-01-01") == []


def test_circuits_are_found_by_the_labels_of_what_they_pin(loading: Loading) -> None:
    key = traced()
    lab, viewer = lab_and_me()
    graph, (node, other, _) = running().graph(key), features(key)
    assert graph is not None
    layer, feature, _ = map(int, node.split("_"))
    about = About(
        model=graph.meta["model_fingerprint"], basis=graph.meta["basis_fingerprint"], layer=layer, feature=feature
    )
    lab.create(viewer, about, LabelBody(text="Ball games"))
    lab.create(viewer, About(graph=key, node="E_1"), LabelBody(text="the subject"))
    lab.create(viewer, About(graph=key), CircuitBody(title="With", pins=(node, "E_1")))
    lab.create(viewer, About(graph=key), CircuitBody(title="Without", pins=(other,)))
    app = open_page("pages/library.py")
    for search, found in (("ball games", ["With"]), ("subject", ["With"]), ("with", ["Without", "With"])):
        app.text_input(key="library_search").set_value(search)
        again(app)
        assert [f.value["title"].tolist() for f in app.dataframe if "title" in f.value] == [found]


def test_export_and_import_give_the_graph_with_pins_and_groups(loading: Loading, tmp_path: Path) -> None:
    key = traced()
    graph = running().graph(key)
    assert graph is not None
    pruned = graph.prune(0.8, 0.98)
    kept = [graph.ids[i] for i in pruned.node_mask.nonzero()[0][:2]]
    body = CircuitBody(title="t", pins=(*kept, "not in this graph"), groups=(Group(name="both", nodes=tuple(kept)),))
    data = as_json("slug", graph, pruned, body, (0.8, 0.98), labels={})
    read, report = neuronpedia.load(_file(tmp_path / "graph.json", data))
    assert report.pins == kept and report.supernodes == [("both", kept)]
    assert read.tokens == graph.tokens and b"@" not in json.dumps(json.loads(data)["metadata"]).encode()

    app = open_page("pages/library.py")
    app.file_uploader(key="import_file").upload("graph.json", data, "application/json")
    again(app)
    assert "Imported, with 2 pins, 1 groups, 0 labels." in texts(app)
    (draft,) = app.session_state["drafts"].values()
    assert draft.body.groups[0].name == "both" and draft.changed


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("graph.json", b"{"),
        ("graph.json", b"[" * 100_000),
        ("graph.json", b'{"metadata": 1}'),
        ("graph.pt", b"PK\x03\x04 not a zip"),
        ("graph.json", b"\x80\x04cos\nsystem\n"),
        ("graph.json", b""),
    ],
)
def test_a_bad_file_is_one_line(loading: Loading, name: str, data: bytes) -> None:
    ready()
    app = open_page("pages/library.py")
    app.file_uploader(key="import_file").upload(name, data, "application/octet-stream")
    again(app)
    assert app.error[0].value.startswith("Not imported: ") and "/tmp" not in app.error[0].value


def test_tables_hold_what_is_drawn(loading: Loading) -> None:
    graph = running().graph(traced())
    assert graph is not None
    pruned = graph.prune(0.8, 0.98)
    nodes, edges = node_table(graph, pruned, {}), edge_table(graph, pruned, {})
    assert len(nodes) == pruned.node_mask.sum() and len(edges) == pruned.kept.nnz
    one = edges.iloc[0]
    target, source = graph.index[one["target"]], graph.index[one["source"]]
    assert graph.adjacency[target, source] == pytest.approx(one["effect"])
    rows = list(csv.reader(io.StringIO(nodes.to_csv(index=False))))
    assert rows[0] == ["id", "name", "label", "kind", "layer", "position", "value", "influence", *TERMS]
    assert list(edges)[-3:] == TERMS


def test_a_pt_file_comes_back(loading: Loading, tmp_path: Path) -> None:
    graph = running().graph(traced())
    assert graph is not None
    circuit_tracer.save(graph, tmp_path / "graph.pt")
    app = open_page("pages/library.py")
    app.file_uploader(key="import_file").upload("graph.pt", (tmp_path / "graph.pt").read_bytes(), "application/zip")
    assert "Imported" in texts(again(app))


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_the_card_shows_what_a_feature_fires_on(loading: Loading, tmp_path: Path) -> None:
    key = traced()
    node = features(key)[0]
    app = open_page("pages/graph.py", graph=key, select=node)
    assert "`python -m tracer dashboards` collects it" in texts(app)
    service = running()
    model = service.model
    assert model is not None
    (tmp_path / "text.txt").write_text(" ".join(f"w{i % 50}" for i in range(2000)))
    folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    build(model, corpus.contexts(tmp_path / "text.txt", model), folder)
    app = open_page("pages/graph.py", graph=key, select=node)
    assert "What it fires on" in texts(app) and "tokens of the corpus" in texts(app)
    strips = [e.proto.json for e in app.get("bidi_component") if e.proto.component_name == "hypograph_token_strip"]
    assert sum("example, peak" in strip for strip in strips) >= 1


def test_a_neuronpedia_link_is_brought_in(loading: Loading) -> None:
    key = traced()
    app = open_page("pages/graph.py", graph=key)
    one, two, three = features(key)
    query = {
        "pinnedIds": f"{one},nowhere",
        "supernodes": json.dumps([["<b>pair</b>", two, three], ["again", three]]),
        "clerps": json.dumps([[one, "a label"], [two, "two\nlines"]]),
        "pruningThreshold": "0.6",
    }
    app.text_input(key=f"link_{key[:12]}").set_value("https://www.neuronpedia.org/m/graph?" + urlencode(query))
    again(app)
    assert app.slider(key="nodes").value == 0.6
    (draft,) = app.session_state["drafts"].values()
    assert draft.body.pins == (one, two, three)
    assert draft.body.groups == (Group(name="<b>pair</b>", nodes=(two, three)),)
    lab, viewer = lab_and_me()
    assert [r.head.body.text for r in lab.find("label", viewer, About(graph=key))] == ["a label"]
    assert "ignored: 1 pins that this graph does not have; ignored: 1 labels" in texts(app)
    app.text_input(key=f"link_{key[:12]}").set_value("hello")
    assert "the link pins nothing" in texts(again(app))


def test_without_a_database_the_app_says_so(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_DATABASE_URL", "postgresql://lab:hunter2@127.0.0.1:1/none")
    app = open_page("pages/trace.py")
    assert "Hypograph can't start: the database" in app.error[0].value and "hunter2" not in app.error[0].value
    monkeypatch.delenv("HYPOGRAPH_DATABASE_URL")
    forget()


def test_a_suggested_group_is_accepted_renamed_refused_and_undone(loading: Loading) -> None:
    key = traced()
    graph = running().graph(key)
    assert graph is not None
    first = [graph.ids[i] for i in range(graph.layout.n_features) if graph.layout.layer[i] == 0]
    app = open_page("pages/graph.py", graph=key)
    draft = app.session_state["drafts"][key]
    draft.set(pins=first[:12])
    again(app).toggle(key="draw_circuit").set_value(True)
    again(app).toggle(key="suggest_groups").set_value(True)
    again(app)
    accept = next(b for b in app.button if b.label == "Accept")
    offered = len([b for b in app.button if b.label == "Accept"])
    assert "Why: " in texts(app)
    name = accept.key.replace("accept_", "suggested_")
    app.text_input(key=name).set_value("my <b>name</b>")
    again(app)
    next(b for b in app.button if b.key == accept.key).click()
    again(app)
    assert [group.name for group in draft.body.groups] == ["my <b>name</b>"]
    assert set(draft.body.groups[0].nodes) <= set(first)
    app.button(key="circuit_undo").click()
    again(app)
    assert draft.body.groups == ()
    next(b for b in app.button if b.label == "Refuse").click()
    again(app)
    assert len([b for b in app.button if b.label == "Accept"]) == offered - 1
    button(app, "Show refused ones again").click()
    again(app)
    assert len([b for b in app.button if b.label == "Accept"]) == offered


def test_a_drawn_node_is_moved_saved_and_put_back(loading: Loading) -> None:
    app = pinned(traced())
    again(app).toggle(key="draw_circuit").set_value(True)
    again(app)
    (draft,) = app.session_state["drafts"].values()
    app.button(key="move_right").click()
    again(app)
    first = dict(draft.body.positions)
    app.button(key="move_up").click()
    again(app)
    (before,), (after,) = first.values(), draft.body.positions.values()
    assert after == (before[0], before[1] - 55)
    button(app, "Save").click()
    again(app)
    lab, viewer = lab_and_me()
    assert lab.find("circuit", viewer)[0].head.body.positions == draft.body.positions
    button(app, "Arrange by layer and token again").click()
    again(app)
    assert draft.body.positions == {}


def test_the_owner_hides_a_circuit_from_the_others(loading: Loading) -> None:
    app = pinned(traced())
    button(app, "Save").click()
    again(app)
    lab, viewer = lab_and_me()
    (record,) = lab.find("circuit", viewer)
    ben = lab.person("local", "ben", "Ben")
    assert lab.get(record.id, ben)
    app.button_group(key=f"who_sees_{record.id}").set_value("private")
    again(app)
    assert lab.find("circuit", ben) == [] and lab.find("circuit", viewer)[0].visibility == "private"

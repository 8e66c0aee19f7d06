"""What leaves this lab: labels, pins, groups, model and terms go along; e-mail addresses only if that is ticked."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lab import CircuitBody, Group
from tests.helpers import PROMPT, replacement, tiny_llama
from tracer import Graph
from tracer.interchange import circuit_tracer, neuronpedia
from tracer.interchange.persons import LEFT_OUT, without_addresses
from tracer.presets import GEMMA
from ui.export_menu import as_csv, as_json, as_pt, edge_table, node_table

GEMMA_TERMS = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms."
ANN = "ann.lee@lab.example.org"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def graph() -> Graph:
    traced = replacement(tiny_llama()).trace(PROMPT, max_nodes=40)
    traced.meta["model"] = "gemma-3-270m"
    return traced


@pytest.fixture
def features(graph: Graph) -> Iterator[list[str]]:
    """Ids of features that pruning keeps."""
    kept = graph.prune(0.8, 0.98).node_mask[: graph.layout.n_features]
    yield [graph.ids[i] for i in kept.nonzero()[0]]


def exported(graph: Graph, body: CircuitBody, **more: object) -> dict:
    pruned = graph.prune(0.8, 0.98)
    return json.loads(as_json("a-graph", graph, pruned, body, (0.8, 0.98), **({"labels": {}} | more)))


def test_labels_pins_and_groups_are_inside(graph: Graph, features: list[str], tmp_path: Path) -> None:
    one, two = features[:2]
    token = graph.ids[graph.layout.first_embedding + 1]
    body = CircuitBody(title="t", pins=(one, two), groups=(Group(name=HOSTILE, nodes=(two,)),))
    labels = {one: HOSTILE, token: "the subject", graph.ids[graph.layout.first_logit]: "not this"}
    document = exported(graph, body, labels=labels)
    clerps = {node["node_id"]: node["clerp"] for node in document["nodes"]}
    assert clerps[one] == HOSTILE and clerps[two] == ""
    assert [text for text in clerps.values() if text == "the subject"] == ["the subject"]
    assert "not this" not in clerps.values()  # a logit's must say its token and probability
    assert document["qParams"]["pinnedIds"] == [one, two]
    assert document["qParams"]["supernodes"] == [[HOSTILE, two]]
    (tmp_path / "g.json").write_text(json.dumps(document))
    _, report = neuronpedia.load(tmp_path / "g.json")
    assert report.labels == {one: HOSTILE, token: "the subject"}
    assert report.pins == [one, two] and report.supernodes == [(HOSTILE, [two])]


def test_json_says_model_licence_and_terms_and_keeps_them_on_the_way(graph: Graph, tmp_path: Path) -> None:
    document = exported(graph, CircuitBody(title="t"))
    metadata = document["metadata"]
    assert metadata["model"] == "gemma-3-270m" and metadata["licence"] == f"{GEMMA.name} ({GEMMA.url})"
    assert metadata["notice"] == metadata["info"]["description"] == GEMMA_TERMS
    (tmp_path / "g.json").write_text(json.dumps(document).replace("gemma-3-270m", "another"))
    again, _ = neuronpedia.load(tmp_path / "g.json")
    passed_on = exported(again, CircuitBody(title="t"))["metadata"]
    assert passed_on["model"] == "another"
    assert (passed_on["licence"], passed_on["notice"]) == (metadata["licence"], metadata["notice"])


def test_tables_say_model_licence_and_terms(graph: Graph) -> None:
    pruned = graph.prune(0.8, 0.98)
    for table in (node_table, edge_table):
        rows = list(csv.DictReader(io.StringIO(as_csv(table(graph, pruned, {})).decode())))
        assert rows and all(row["model"] == "gemma-3-270m" for row in rows)
        assert all(GEMMA.name in row["licence"] and row["notice"] == GEMMA_TERMS for row in rows)


def test_a_pt_has_a_notice_beside_its_tensors_and_opens_as_before(graph: Graph, tmp_path: Path) -> None:
    data = as_pt("g.pt", graph)
    (tmp_path / "g.pt").write_bytes(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (notice,) = [name for name in archive.namelist() if name.endswith("NOTICE.txt")]
        assert archive.read(notice).decode() == f"Model gemma-3-270m: {GEMMA.name} ({GEMMA.url}). {GEMMA_TERMS}"
    read, report = circuit_tracer.load(tmp_path / "g.pt")
    assert read.layout.n_features == graph.layout.n_features and report.ignored == {}
    parts = torch.load(tmp_path / "g.pt", weights_only=False, pickle_module=_stand_ins())  # as circuit-tracer does
    assert parts["adjacency_matrix"].shape[0] == graph.layout.first_bias


def _stand_ins() -> object:
    """A pickle module that finds circuit-tracer's classes where they are not installed."""
    import pickle
    from types import SimpleNamespace

    from tracer.interchange.pickles import STAND_INS

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            known = {path: cls for cls, path in STAND_INS.items()}
            return known.get(f"{module}.{name}") or super().find_class(module, name)

    return SimpleNamespace(Unpickler=Unpickler, load=pickle.load, __name__="pickle")


def test_e_mail_addresses_are_left_out_unless_ticked(graph: Graph, features: list[str]) -> None:
    body = CircuitBody(title="t", pins=(features[0],), groups=(Group(name=f"ask {ANN}", nodes=(features[0],)),))
    labels = {features[1]: f"(by {ANN}) ball"}
    clean = exported(graph, body, labels=labels, creator=ANN)
    assert "@" not in json.dumps(clean) and "creator_name" not in clean["metadata"]["info"]
    assert clean["qParams"]["supernodes"][0][0] == f"ask {LEFT_OUT}"
    assert f"(by {LEFT_OUT}) ball" in [node["clerp"] for node in clean["nodes"]]
    ticked = exported(graph, body, labels=labels, creator=ANN, addresses=True)
    assert ticked["metadata"]["info"]["creator_name"] == ANN and json.dumps(ticked).count(ANN) == 3
    named = exported(graph, body, creator="Ann Lee")
    assert named["metadata"]["info"]["creator_name"] == "Ann Lee"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("ann@x.org", LEFT_OUT),
        ("<ann@x.org>, ben.o'neil+a@mail.co.uk!", f"<{LEFT_OUT}>, ben.o'{LEFT_OUT}!"),
        ("élan@université.fr says", f"{LEFT_OUT} says"),
        ("at @ home", "at @ home"),
        ("L13 @ ␣sport (6)", "L13 @ ␣sport (6)"),
        ("user@localhost", "user@localhost"),
        ("a@b", "a@b"),
    ],
)
def test_what_is_an_address(text: str, clean: str) -> None:
    assert without_addresses(text) == clean


def test_a_long_hostile_label_is_cleaned_at_once() -> None:
    for text in ("a" * 300_000, "a@" * 100_000, "a@b." * 100_000, "@" * 300_000):
        without_addresses(text)  # a bad expression would take hours


def test_a_label_is_no_formula_in_a_spreadsheet(graph: Graph, features: list[str]) -> None:
    labels = {features[0]: '=HYPERLINK("https://example.org")', features[1]: "+1", features[2]: "plain"}
    table = node_table(graph, graph.prune(0.8, 0.98), labels)
    rows = list(csv.DictReader(io.StringIO(as_csv(table).decode())))
    said = {row["id"]: row["label"] for row in rows}
    assert said[features[0]] == '\'=HYPERLINK("https://example.org")' and said[features[1]] == "'+1"
    assert said[features[2]] == "plain"

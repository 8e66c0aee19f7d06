"""circuit-tracer's `.pt`: the parity set's graphs as it saves them, older layouts, and our whole graphs out and in."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tracer
from tests.helpers import PROMPT, replacement, tiny_llama, transcoders, with_transcoders
from tests.tracer.interchange import pt_files
from tests.tracer.interchange.cases import NAMES, ONE, case
from tracer import Graph, TracerError
from tracer.graph.file import Target
from tracer.graph.layout import Layout
from tracer.interchange import circuit_tracer, load, neuronpedia
from tracer.interchange.naming import VIRTUAL_ID


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_circuit_tracer_gives_its_graph(name: str, tmp_path: Path):
    it = case(name)
    graph, report = load(pt_files.write(it, tmp_path / "g.pt"))
    want, n = it.want, it.n
    np.testing.assert_array_equal(graph.adjacency.toarray()[:n, :n], want["adjacency_matrix"])
    np.testing.assert_allclose(graph.influence[:n], want["node_influence"], atol=1e-5)
    scores, pruned = graph.scores(), graph.prune(0.8, 0.98)
    assert scores.replacement == pytest.approx(want["replacement_score"].item(), abs=1e-5)
    assert scores.completeness == pytest.approx(want["completeness_score"].item(), abs=1e-5)
    np.testing.assert_array_equal(pruned.node_mask[:n], want["node_mask"])
    np.testing.assert_array_equal(pruned.edge_mask[:n, :n], want["edge_mask"])
    np.testing.assert_array_equal(graph.activation, want["activation_values"][want["selected_features"]])
    assert graph.token_ids == want["input_tokens"].tolist() and np.isnan(graph.row_error)
    assert [(t.id, t.weight) for t in graph.targets] == list(
        zip(want["logit_token_ids"].tolist(), want["logit_probabilities"].tolist(), strict=True)
    )
    assert [t.token for t in graph.targets] == [t.token for t in it.graph().targets]
    assert (graph.meta["model"], graph.meta["features"]) == ("a-model", it.document["metadata"]["scan"])
    unselected = len(want["active_features"]) - len(want["selected_features"])
    assert report.ignored == ({"active features that were not selected": unselected} if unselected else {})
    assert graph.meta["n_active"] == len(want["active_features"])
    graph.save(tmp_path / "g.safetensors")
    again = Graph.load(tmp_path / "g.safetensors")
    assert again.nodes.equals(graph.nodes) and again.meta == graph.meta


def test_both_formats_hold_the_same_pruned_graph(tmp_path: Path):
    """From the .pt through our JSON, and circuit-tracer's JSON, to the same."""
    it = case(ONE)
    graph, _ = load(pt_files.write(it, tmp_path / "g.pt"))
    neuronpedia.save(graph, tmp_path / "g.json", "a")
    ours, theirs = load(tmp_path / "g.json")[0], load(it.json_file)[0]
    assert ours.ids == theirs.ids and abs(ours.adjacency - theirs.adjacency).max() == 0
    assert ours.targets == theirs.targets


def test_older_and_later_layouts(tmp_path: Path):
    it = case(ONE)
    graph, _ = load(pt_files.write(it, tmp_path / "new.pt"))
    ids = torch.from_numpy(it.want["logit_token_ids"])
    for changes in (
        {"logit_targets": ids},
        {"logit_targets": None, "logit_tokens": ids, "vocab_size": None},
        {"scan": None, "scan_name": ["a", "b"]},
        {"scan": None},
        {"more": 1},
    ):
        old, report = load(pt_files.write(it, tmp_path / "old.pt", **changes))
        assert abs(old.adjacency - graph.adjacency).max() == 0
        assert [t.id for t in old.targets] == [t.id for t in graph.targets]
        assert report.ignored.get("unknown fields", 0) == ("more" in changes)
        if "scan" in changes:
            assert old.meta["features"] == ("a, b" if "scan_name" in changes else "unknown")
        if "logit_targets" in changes:
            assert old.targets[0].token == f"#{ids[0]}"


def test_a_target_that_is_no_token(tmp_path: Path):
    """circuit-tracer numbers it from the vocabulary's size on."""
    it = case(ONE)
    with pt_files.installed() as (config, target):
        content = pt_files.parts(it, config, target)
        content["logit_targets"][0] = target("logit(x)-logit(y)", 300)
        content["logit_targets"][1] = target("last", 299)
        torch.save(content, tmp_path / "g.pt")
    first, second = load(tmp_path / "g.pt")[0].targets[:2]
    weights = it.want["logit_probabilities"].tolist()
    assert first == Target("logit(x)-logit(y)", None, None, weights[0], None)
    assert second == Target("last", 299, weights[1], weights[1], None)


@pytest.mark.parametrize("targets", [None, ["w5", "w7"], tracer.Difference("w5", "w7")])
def test_whole_round_trip(targets, tmp_path: Path):
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=80, targets=targets)
    circuit_tracer.save(graph, tmp_path / "g.pt")
    again, report = load(tmp_path / "g.pt")
    n = graph.layout.first_bias
    assert again.ids == graph.ids and report.ignored == {}
    assert abs(again.adjacency[:n, :n] - graph.adjacency[:n, :n]).max() == 0
    np.testing.assert_array_equal(again.activation, graph.activation)
    assert again.token_ids == graph.token_ids and again.meta["prompt"] == graph.meta["prompt"]
    assert [(t.token, t.id) for t in again.targets] == [(t.token, t.id) for t in graph.targets]
    np.testing.assert_allclose(again.weights, graph.weights, rtol=1e-6)
    np.testing.assert_allclose(again.influence, graph.influence, atol=1e-6)
    np.testing.assert_array_equal(again.prune(0.7, 0.9).node_mask, graph.prune(0.7, 0.9).node_mask)


def test_circuit_tracer_can_read_what_we_write(tmp_path: Path):
    """As its `Graph.from_pt` does: unpickled with its own classes. (And with the real package: by hand.)"""
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=80, targets=tracer.Difference("w5", "w7"))
    meta = graph.meta | {"model": "gemma-3-270m"}
    graph = Graph(graph.layout, graph.activation, graph.targets, graph.adjacency, graph.token_ids, meta)
    circuit_tracer.save(graph, tmp_path / "g.pt")
    with pt_files.installed() as (config, target):
        parts = torch.load(tmp_path / "g.pt", weights_only=False)
        assert set(parts) == set(pt_files.parts(case(ONE), config, target))
        assert type(parts["cfg"]) is config and parts["cfg"].n_layers == 3
        assert (parts["cfg"].model_name, parts["cfg"].tokenizer_name) == ("gemma-3-270m", "google/gemma-3-270m")
        assert parts["logit_targets"] == [target("w5 − w7", VIRTUAL_ID)] and type(parts["logit_targets"][0]) is target
    assert parts["vocab_size"] <= VIRTUAL_ID and parts["scan"] == "gemma-3-270m"
    n = graph.layout.first_bias
    np.testing.assert_array_equal(parts["adjacency_matrix"].numpy(), graph.adjacency.toarray()[:n, :n])
    assert parts["active_features"].dtype == parts["selected_features"].dtype == torch.int64
    assert len(parts["active_features"]) == len(parts["activation_values"]) == len(parts["selected_features"]) == 80


def test_more_nodes_than_the_format_can_hold_are_refused(tmp_path: Path):
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=20)
    many = np.zeros(circuit_tracer.MAX_NODES, dtype=np.int64)
    layout = Layout(many, many, np.arange(len(many)), 3, 9, len(graph.targets))
    large = Graph(layout, many, graph.targets, graph.adjacency, graph.token_ids, graph.meta)
    with pytest.raises(TracerError, match=r"20,\d+ nodes .* 2 GB"):
        circuit_tracer.save(large, tmp_path / "g.pt")
    with pytest.raises(TracerError, match="can't write"):
        circuit_tracer.save(graph, tmp_path / "nowhere" / "g.pt")


def changed(name: str, where: tuple, value: float) -> torch.Tensor:
    tensor = torch.from_numpy(case(ONE).want[name].copy())
    tensor[where] = value
    return tensor


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adjacency_matrix": None}, "adjacency_matrix is no tensor"),
        ({"adjacency_matrix": torch.zeros(3, 3)}, "don't fit"),
        ({"adjacency_matrix": torch.zeros(3)}, "adjacency_matrix is no tensor"),
        ({"adjacency_matrix": torch.zeros(1).expand(100_000, 100_000)}, "larger than what is stored"),
        ({"adjacency_matrix": changed("adjacency_matrix", (0, -20), float("nan"))}, "not a finite number"),
        ({"adjacency_matrix": changed("adjacency_matrix", (0, 1), 1)}, "lower layer"),
        ({"adjacency_matrix": changed("adjacency_matrix", (-20, 0), 1)}, "lower layer"),
        ({"active_features": changed("active_features", (0, 0), 99)}, "outside"),
        ({"active_features": changed("active_features", (0, 1), -1)}, "outside"),
        ({"active_features": changed("active_features", (0, 0), 0).float()}, "another kind"),
        ({"active_features": torch.zeros(4, 2, dtype=torch.int64)}, "don't fit"),
        ({"selected_features": changed("selected_features", (0,), 100_000)}, "not among"),
        ({"selected_features": changed("selected_features", (0,), -1)}, "not among"),
        ({"selected_features": changed("selected_features", (0,), 1)}, "twice"),
        ({"activation_values": torch.zeros(3)}, "don't fit"),
        ({"activation_values": changed("activation_values", (0,), float("inf"))}, "not a finite number"),
        ({"input_tokens": torch.tensor([], dtype=torch.int64)}, "no tokens"),
        ({"input_tokens": changed("input_tokens", (0,), 2**40)}, "larger than any vocabulary"),
        ({"logit_probabilities": torch.tensor([0.5])}, "don't fit"),
        ({"logit_probabilities": changed("logit_probabilities", (0,), -1)}, "negative"),
        ({"logit_targets": [1, 2]}, "a target is no token"),
        ({"logit_targets": []}, "one probability a target"),
        ({"logit_targets": changed("logit_token_ids", (0,), -1)}, "a target is no token"),
        ({"cfg": None}, "how many layers"),
        ({"cfg": {"n_layers": 3}}, "how many layers"),
        ({"input_string": 3}, "a name or text"),
        ({"input_string": "half \ud800"}, "a name or text"),
        ({"scan": ["a", 3]}, "a name or text"),
        ({"adjacency_matrix": torch.eye(3).to_sparse()}, "names 'torch"),
        ({"input_tokens": torch.nn.Parameter(torch.zeros(3))}, "names 'torch"),
    ],
)
def test_parts_that_make_no_graph_are_refused(changes: dict, message: str, tmp_path: Path):
    with pytest.raises(TracerError, match=message) as caught:
        load(pt_files.write(case(ONE), tmp_path / "g.pt", **changes))
    assert str(caught.value).isprintable()


def test_layers_that_are_no_number_or_too_many(tmp_path: Path):
    it = case(ONE)
    for layers, message in (("3", "how many layers"), (10**9, "too large"), (-1, "don't fit"), (True, "how many")):
        with pt_files.installed() as classes:
            content = pt_files.parts(it, *classes)
            content["cfg"].n_layers = layers
            torch.save(content, tmp_path / "g.pt")
        with pytest.raises(TracerError, match=message):
            load(tmp_path / "g.pt")


def test_what_selection_left_out_goes_along(tmp_path: Path):
    base = tiny_llama()
    graph = with_transcoders(base, transcoders(tmp_path / "set", base)).trace(PROMPT, max_nodes=20)
    circuit_tracer.save(graph, tmp_path / "g.pt")
    back, report = load(tmp_path / "g.pt")
    assert back.meta["n_active"] == graph.meta["n_active"] > 20
    assert report.ignored == {"active features that were not selected": graph.meta["n_active"] - 20}
    np.testing.assert_array_equal(back.layout.feature, graph.layout.feature)
    np.testing.assert_array_equal(back.activation, graph.activation)

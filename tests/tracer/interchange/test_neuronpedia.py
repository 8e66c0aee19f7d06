"""The frontend's JSON: circuit-tracer's files in, its files out, ours out and in again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tracer
from tests.helpers import PROMPT, replacement, tiny_llama
from tests.tracer.interchange.cases import NAMES, case
from tracer import Graph, TracerError
from tracer.interchange import neuronpedia


@pytest.fixture(scope="module")
def graph() -> Graph:
    return replacement(tiny_llama()).trace(PROMPT, max_nodes=80)


def document(graph: Graph, path: Path, **options) -> dict:
    neuronpedia.save(graph, path, "a-graph", **options)
    return json.loads(path.read_text())


def edges(graph: Graph) -> dict[tuple[str, str], float]:
    """By the ids of their ends, source first."""
    matrix = graph.adjacency.tocoo()
    rows, columns = matrix.coords
    return {(graph.ids[s], graph.ids[t]): float(w) for t, s, w in zip(rows, columns, matrix.data, strict=True)}


def test_there_are_parity_cases():
    assert len(NAMES) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_circuit_tracer_gives_its_pruned_graph(name: str, tmp_path: Path):
    """Also where an error and a feature share an id, as in two of these."""
    it = case(name)
    graph, report = neuronpedia.load(it.json_file)
    whole, n = it.graph(), it.n
    kept = it.want["node_mask"]
    place = np.array([whole.index[i] for i in graph.ids[: graph.layout.first_bias]])
    chosen = np.stack([graph.layout.layer, graph.layout.position, graph.layout.feature], axis=1)
    np.testing.assert_array_equal(chosen, it.features[kept[: len(it.features)]])
    pruned = np.where(it.want["edge_mask"], it.want["adjacency_matrix"], 0)
    np.testing.assert_array_equal(graph.adjacency.toarray()[: len(place), : len(place)], pruned[np.ix_(place, place)])
    assert graph.adjacency.nnz == it.want["edge_mask"].sum()
    np.testing.assert_array_equal(graph.activation, whole.activation[place[: len(chosen)]])
    assert (graph.tokens, graph.token_ids) == (whole.tokens, it.want["input_tokens"].tolist())
    assert [t.id for t in graph.targets] == it.want["logit_token_ids"].tolist()
    np.testing.assert_allclose([t.weight for t in graph.targets], it.want["logit_probabilities"])
    assert [t.token for t in graph.targets] == [t.token for t in whole.targets]

    scores = report.cumulative_scores[: len(place)]
    said = kept[place] & (graph.layout.kind[: len(place)] != 3)  # it says none of logits
    np.testing.assert_allclose(scores[said], it.want["cumulative_scores"][place][said], atol=1e-6)
    assert np.isnan(scores[~said]).all() and said.sum() == kept[: n - len(graph.targets)].sum()
    assert (report.feature_numbers, report.error_ids, report.ignored) == ("cantor", "0_layer_position", {})

    assert np.isnan(graph.row_error)
    graph.save(tmp_path / "g.safetensors")
    again = Graph.load(tmp_path / "g.safetensors")
    assert again.nodes.equals(graph.nodes) and again.meta == graph.meta and again.scores() == graph.scores()
    np.testing.assert_array_equal(graph.prune(1, 1).node_mask[: len(place)], kept[place])


@pytest.mark.parametrize("name", NAMES)
def test_export_writes_what_circuit_tracer_wrote(name: str, tmp_path: Path):
    """All but the errors' ids, which don't collide any more, and what is more in the metadata."""
    it = case(name)
    got, want = document(it.graph(), tmp_path / "g.json"), it.document
    new_ids = {}
    for node in got["nodes"]:
        if node["feature_type"] == "mlp reconstruction error":
            layer, position = node["layer"], node["ctx_idx"]
            assert node["node_id"] == f"{layer}_-1_{position}" and node["jsNodeId"] == f"{layer}_-1-{position}"
            new_ids[node["node_id"]] = node["node_id"] = f"0_{layer}_{position}"
            node["jsNodeId"] = f"{layer}_{position}-0"
    assert new_ids and len(got["nodes"]) == len(want["nodes"])
    for node, other in zip(got["nodes"], want["nodes"], strict=True):
        assert list(node) == list(other)
        assert node.pop("influence") == (pytest.approx(other.pop("influence"), abs=1e-6))
        assert node == other
    for link in got["links"]:
        link["source"] = new_ids.get(link["source"], link["source"])
    assert got["links"] == want["links"]
    assert got["qParams"] == want["qParams"]
    assert want["metadata"].items() <= (got["metadata"] | {"slug": want["metadata"]["slug"]}).items()
    assert got["metadata"]["pruning_settings"] == {"node_threshold": 0.8, "edge_threshold": 0.98}


def test_round_trip(graph: Graph, tmp_path: Path):
    pruned = graph.prune(0.85, 0.95)
    kept = [graph.ids[i] for i in np.flatnonzero(pruned.node_mask)]
    pins = [kept[0], kept[-1]]
    supernodes = [("say w5", [kept[1], kept[2]]), ("tokens", ["E_0", "E_1"])]
    options = {"node_threshold": 0.85, "edge_threshold": 0.95, "pins": pins, "supernodes": supernodes}
    neuronpedia.save(graph, tmp_path / "g.json", "a-graph", **options)
    again, report = neuronpedia.load(tmp_path / "g.json")
    rows, columns = pruned.edges()
    weights = pruned.kept.data.tolist()
    assert edges(again) == {(graph.ids[s], graph.ids[t]): w for t, s, w in zip(rows, columns, weights, strict=True)}
    names = {i for i in again.ids if not i.startswith(("ERR", "BIAS"))}
    assert names == {i for i in kept if not i.startswith("ERR")}
    assert again.targets == [replace(t, value=None) for t in graph.targets]
    assert (again.tokens, again.token_ids, again.meta["prompt"]) == (graph.tokens, graph.token_ids, PROMPT)
    assert (again.meta["model"], again.meta["features"]) == ("tiny", "neurons")
    assert again.layout.n_layers == graph.layout.n_layers
    own = pruned.cumulative_scores
    for i, name in enumerate(again.ids):
        score = report.cumulative_scores[i]
        assert np.isnan(score) if name not in kept or name.startswith("LOGIT") else score == own[graph.index[name]]
    assert (report.pins, report.supernodes, report.error_ids) == (pins, supernodes, "layer_-1_position")
    assert report.ignored == {}
    assert again.meta["imported"]["node_threshold"] == 0.85 and again.meta["imported"]["edge_threshold"] == 0.95


def test_an_imported_graph_can_be_exported_again(graph: Graph, tmp_path: Path):
    first = document(graph, tmp_path / "1.json")
    again, _ = neuronpedia.load(tmp_path / "1.json")
    second = document(again, tmp_path / "2.json", node_threshold=1, edge_threshold=1)
    assert second["links"] == first["links"]
    assert [n | {"influence": 0} for n in second["nodes"]] == [n | {"influence": 0} for n in first["nodes"]]


@pytest.mark.parametrize("targets", [tracer.Difference("w5", "w7"), ["w5", "w7"]])
def test_targets_that_were_asked_for_come_back(targets, tmp_path: Path):
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=40, targets=targets)
    neuronpedia.save(graph, tmp_path / "g.json", "g")
    again, _ = neuronpedia.load(tmp_path / "g.json")
    for got, want in zip(again.targets, graph.targets, strict=True):
        assert (got.token, got.id, got.weight) == (want.token, want.id, want.weight)
        assert got.probability == (None if want.probability is None else pytest.approx(want.probability, abs=6e-4))


def test_neurons_have_their_own_numbers_and_the_model_as_scan(graph: Graph, tmp_path: Path):
    written = document(graph, tmp_path / "g.json")
    metadata = written["metadata"]
    assert (metadata["scan"], metadata["model"], metadata["features"]) == ("tiny", "tiny", "neurons")
    node = next(n for n in written["nodes"] if n["feature_type"] == "cross layer transcoder" and n["layer"] == "2")
    layer, neuron, position = map(int, node["node_id"].split("_"))
    assert f"{layer}_{neuron}_{position}" in graph.index
    assert node["feature"] == (layer + neuron) * (layer + neuron + 1) // 2 + neuron


def test_nothing_is_said_of_persons_folders_or_biases(graph: Graph, tmp_path: Path):
    meta = graph.meta | {"model": "/srv/ann/models/tiny"}
    other = Graph(graph.layout, graph.activation, graph.targets, graph.adjacency, graph.token_ids, meta)
    text = json.dumps(document(other, tmp_path / "g.json", licence="MIT", source_set="a-set"))
    assert "ann" not in text and "mail" not in text and "bias" not in text.lower() and '"scan": "tiny"' in text
    metadata = json.loads(text)["metadata"]
    assert metadata["licence"] == "MIT" and metadata["info"]["generator"] == {"name": "Hypograph"}
    assert metadata["feature_details"] == {"neuronpedia_source_set": "a-set"}
    assert metadata["info"]["neuronpedia_source_set"] == "a-set"
    assert "feature_details" not in document(graph, tmp_path / "g.json")["metadata"]


def test_what_can_not_be_exported_is_refused_and_nothing_written(graph: Graph, tmp_path: Path):
    path = tmp_path / "g.json"
    lost = next(graph.ids[i] for i in np.flatnonzero(~graph.prune(0.5, 0.5).node_mask))
    for options, message in (
        ({"pins": [lost], "node_threshold": 0.5, "edge_threshold": 0.5}, "pinned or grouped"),
        ({"supernodes": [("a", ["BIAS_0"])]}, "pinned or grouped"),
        ({"node_threshold": 2}, "threshold"),
    ):
        with pytest.raises(TracerError, match=message):
            neuronpedia.save(graph, path, "a", **options)
    with pytest.raises(TracerError, match="slug"):
        neuronpedia.save(graph, path, "a/b")
    flat = replacement(tiny_llama(n_layers=1)).trace(PROMPT, max_nodes=20)
    with pytest.raises(TracerError, match="above layer 0"):
        neuronpedia.save(flat, path, "a")
    assert not path.exists()
    with pytest.raises(TracerError, match="can't write"):
        neuronpedia.save(graph, tmp_path / "nowhere" / "g.json", "a")


def test_unknown_activations_stay_unknown(graph: Graph, tmp_path: Path):
    written = document(graph, tmp_path / "g.json")
    for node in written["nodes"]:
        del node["activation"]
    (tmp_path / "g.json").write_text(json.dumps(written))
    again, _ = neuronpedia.load(tmp_path / "g.json")
    assert np.isnan(again.activation).all()
    assert {n["activation"] for n in document(again, tmp_path / "h.json")["nodes"]} == {None}

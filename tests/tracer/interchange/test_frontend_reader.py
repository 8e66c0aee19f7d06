"""Files of the frontend that others wrote: their dialects, what is ignored and counted, and hostile ones."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tracer import TracerError
from tracer.interchange import Limits, neuronpedia
from tracer.interchange.feature_numbers import cantor
from tracer.interchange.limits import check_depth


def node(name: str, kind: str, layer: str | int, position: int, feature: int, **more) -> dict:
    common = {"node_id": name, "feature_type": kind, "layer": layer, "ctx_idx": position, "feature": feature}
    return common | {"jsNodeId": name, "clerp": ""} | more


FEATURE, ERROR = "cross layer transcoder", "mlp reconstruction error"


def small() -> dict:
    """Two layers, three tokens: features at both layers, an error, two logits; only what the schema requires."""
    return {
        "metadata": {"slug": "small", "scan": "a-set", "prompt_tokens": ["a", "b", "c"], "prompt": "abc"},
        "qParams": {},
        "nodes": [
            node("0_7_1", FEATURE, "0", 1, cantor(0, 7), activation=1.5, influence=0.5),
            node("1_9_2", FEATURE, 1, 2, cantor(1, 9), clerp="nine"),
            node("0_-1_2", ERROR, "0", 2, -1, influence=0.9),
            *(node(f"E_{40 + p}_{p}", "embedding", "E", p, p) for p in range(3)),
            node("3_50_2", "logit", "3", 2, 50, token_prob=0.75, clerp='Output " x" (p=0.750)'),
            node("3_51_2", "logit", "3", 2, 51, token_prob=0.25, clerp='Output " y" (p=0.250)'),
        ],
        "links": [
            {"source": "E_41_1", "target": "0_7_1", "weight": 2},
            {"source": "0_7_1", "target": "1_9_2", "weight": 1.25},
            {"source": "0_-1_2", "target": "1_9_2", "weight": -0.5},
            {"source": "1_9_2", "target": "3_50_2", "weight": 3.0},
            {"source": "0_7_1", "target": "3_51_2", "weight": -1.0},
        ],
    }


def load(document: object, folder: Path):
    path = folder / "g.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return neuronpedia.load(path)


def test_the_smallest_file(tmp_path: Path):
    graph, report = load(small(), tmp_path)
    assert (graph.layout.n_layers, graph.layout.n_features, graph.layout.n_tokens) == (2, 2, 3)
    assert graph.token_ids == [40, 41, 42] and graph.meta["n_active"] is None and graph.meta["model"] == "a-set"
    assert [(t.token, t.id, t.weight, t.value) for t in graph.targets] == [
        (" x", 50, 0.75, None),
        (" y", 51, 0.25, None),
    ]
    at = graph.index
    matrix = graph.adjacency.toarray()
    assert matrix[at["0_7_1"], at["E_1"]] == 2 and matrix[at["1_9_2"], at["ERR_0_2"]] == -0.5
    assert matrix[at["LOGIT_0"], at["1_9_2"]] == 3 and matrix[at["LOGIT_1"], at["0_7_1"]] == -1
    assert graph.adjacency.nnz == 5
    np.testing.assert_array_equal(graph.activation, [1.5, np.nan])
    assert (report.feature_numbers, report.error_ids, report.ignored) == ("cantor", "layer_-1_position", {})
    assert report.labels == {"1_9_2": "nine"} and report.cumulative_scores[at["ERR_0_2"]] == 0.9


def test_features_in_another_order_find_their_places(tmp_path: Path):
    document = small()
    document["nodes"].reverse()
    graph, report = load(document, tmp_path)
    at = graph.index
    assert graph.ids[:2] == ["0_7_1", "1_9_2"] and graph.adjacency[at["1_9_2"], at["0_7_1"]] == 1.25
    assert [t.id for t in graph.targets] == [51, 50] and graph.adjacency[at["LOGIT_1"], at["1_9_2"]] == 3
    assert report.cumulative_scores[at["0_7_1"]] == 0.5 and graph.activation[0] == 1.5


def test_old_feature_numbers_and_old_error_ids(tmp_path: Path):
    document = json.loads(json.dumps(small()).replace("0_-1_2", "0_0_2"))
    document["nodes"][0]["feature"], document["nodes"][1]["feature"] = 7, 100_009
    graph, report = load(document, tmp_path)
    assert (report.feature_numbers, report.error_ids) == ("layer·100000 + index", "0_layer_position")
    assert graph.ids[:2] == ["0_7_1", "1_9_2"] and graph.adjacency[1, graph.index["ERR_0_2"]] == -0.5


def test_what_is_unknown_is_ignored_and_counted(tmp_path: Path):
    document = small() | {"qk_only_nodes": {}}
    document["metadata"]["note"] = document["qParams"]["more"] = 1
    document["nodes"].append(node("lorsa_1", "lorsa", "1", 1, 3, qk_tracing_results={}))
    document["nodes"][0]["odd"] = document["nodes"][1]["odd"] = [1]
    document["links"] += [{"source": "lorsa_1", "target": "1_9_2", "weight": 1.0, "odd": 1}]
    document["links"] += [{"source": "0_7_1", "target": "nobody", "weight": 1.0}]
    graph, report = load(document, tmp_path)
    assert graph.adjacency.nnz == 5
    assert report.ignored == {
        "unknown fields of the file": 1,
        "unknown fields of metadata": 1,
        "unknown fields of qParams": 1,
        "unknown fields of nodes": 3,
        "unknown fields of links": 1,
        "nodes of other types": 1,
        "links to nodes that are not there": 2,
    }


def test_a_link_that_could_mean_two_nodes_is_left_out_and_counted(tmp_path: Path):
    document = small()
    document["nodes"].insert(1, node("0_1_1", FEATURE, "0", 1, cantor(0, 1)))
    document["nodes"].append(node("0_1_1", ERROR, "1", 1, -1))
    document["links"].insert(0, {"source": "0_1_1", "target": "3_50_2", "weight": 5.0})
    document["qParams"]["pinnedIds"] = ["0_1_1"]
    graph, report = load(document, tmp_path)
    assert report.ignored == {"links from an id that two nodes share": 1} and graph.adjacency.nnz == 5
    assert report.pins == ["0_1_1"]


@pytest.mark.parametrize("pins", [["1_9_2", "E_40_0", "gone"], "1_9_2,E_40_0,gone"])
def test_pins_and_supernodes(pins: list[str] | str, tmp_path: Path):
    document = small()
    document["qParams"] = {"pinnedIds": pins, "supernodes": [["a", "0_7_1", "gone"], [], ["b"]], "clickedId": None}
    _, report = load(document, tmp_path)
    assert report.pins == ["1_9_2", "E_0"] and report.supernodes == [("a", ["0_7_1"]), ("b", [])]
    assert report.ignored == {"supernodes without a name": 1, "pins and members that are not there": 2}


@pytest.mark.parametrize(
    ("changes", "token", "id", "probability", "weight"),
    [
        ({}, " x", 50, 0.75, 0.75),
        ({"token_prob": None}, " x", 50, 0.75, 0.75),
        ({"clerp": ""}, "50", 50, 0.75, 0.75),
        ({"clerp": "mine"}, "mine", 50, 0.75, 0.75),
        ({"clerp": '"x" (p=0.7504)'}, '"x"', 50, 0.75, 0.75),
        ({"clerp": 'Output """ (p=0.1)'}, '"', 50, 0.1, 0.75),
        ({"clerp": 'Output "a\nb" (p=0.750)'}, "a\nb", 50, 0.75, 0.75),
        ({"feature": 1 << 24}, " x", None, None, 0.75),
    ],
)
def test_what_a_logit_says(
    changes: dict, token: str, id: int | None, probability: float | None, weight: float, tmp_path
):
    document = small()
    document["nodes"][6] |= changes
    target = load(document, tmp_path)[0].targets[0]
    assert (target.token, target.id, target.probability, target.weight) == (token, id, probability, weight)


Change = Callable[[dict], object]
HOSTILE: dict[str, tuple[Change, str]] = {
    "no nodes": (lambda d: d.pop("nodes"), r"nodes: Field required"),
    "nodes no list": (lambda d: d.update(nodes={}), r"nodes: Input should be a valid array"),
    "a number as text": (lambda d: d["nodes"][0].update(ctx_idx="1"), r"nodes\.0\.ctx_idx: .* integer"),
    "a text as number": (lambda d: d["metadata"].update(prompt=3), r"metadata\.prompt: .* string"),
    "a weight that is text": (lambda d: d["links"][1].update(weight="1"), r"links\.1\.weight: .* number"),
    "a weight that is nan": (lambda d: d["links"][1].update(weight=float("nan")), r"links\.1\.weight: .* finite"),
    "a weight that is infinite": (lambda d: d["links"][1].update(weight=float("inf")), r"links\.1\.weight: .* finite"),
    "a weight too large": (lambda d: d["links"][1].update(weight=1e300), "not a finite number"),
    "an activation too large": (lambda d: d["nodes"][0].update(activation=1e300), "not a finite number"),
    "a negative probability": (lambda d: d["nodes"][6].update(token_prob=-1.0), "negative"),
    "a position beyond the prompt": (lambda d: d["nodes"][0].update(ctx_idx=3), "outside the prompt"),
    "a negative position": (lambda d: d["nodes"][0].update(ctx_idx=-1), r"nodes\.0\.ctx_idx"),
    "a logit not at the end": (lambda d: d["nodes"][6].update(ctx_idx=1), "last one"),
    "a layer that is none": (lambda d: d["nodes"][0].update(layer="up"), "a layer is a number"),
    "a layer beyond all models": (lambda d: d["nodes"][0].update(layer="999999", feature=7), "too large"),
    "a long number": (lambda d: d["nodes"][0].update(layer="9" * 5000), "a layer is a number"),
    "a feature beyond all sets": (lambda d: d["nodes"][0].update(feature=2**40, node_id="x"), "outside|fit none"),
    "tokens beyond all prompts": (lambda d: d["metadata"].update(prompt_tokens=[""] * 700_000), "last one|too large"),
    "no tokens": (lambda d: d["metadata"].update(prompt_tokens=[]), "outside the prompt"),
    "no logits": (lambda d: d["nodes"].__delitem__(slice(6, 8)), "no logits"),
    "no nodes at all": (lambda d: d.update(nodes=[]), "no logits"),
    "a logit that says nothing": (lambda d: d["nodes"][6].update(token_prob=None, clerp=""), "no token or no prob"),
    "an id used twice": (lambda d: d["nodes"].append(d["nodes"][0]), "a feature is there twice|two nodes are called"),
    "an error twice": (lambda d: d["nodes"].append(d["nodes"][2] | {"node_id": "x"}), "two error or embedding"),
    "a feature twice": (lambda d: d["nodes"].append(d["nodes"][0] | {"node_id": "x"}), "a feature is there twice"),
    "two logits of one name": (lambda d: d["nodes"].append(d["nodes"][7]), "two nodes are called"),
    "a link twice": (lambda d: d["links"].append(d["links"][0]), "same ends"),
    "a link upwards": (
        lambda d: d["links"].append({"source": "1_9_2", "target": "0_7_1", "weight": 1.0}),
        "lower layer",
    ),
    "a link to itself": (
        lambda d: d["links"].append({"source": "1_9_2", "target": "1_9_2", "weight": 1.0}),
        "lower layer",
    ),
    "a link to an error": (
        lambda d: d["links"].append({"source": "E_40_0", "target": "0_-1_2", "weight": 1.0}),
        "lower",
    ),
    "a link to a token": (lambda d: d["links"].append({"source": "0_7_1", "target": "E_40_0", "weight": 1.0}), "lower"),
    "a link from a logit": (
        lambda d: d["links"].append({"source": "3_50_2", "target": "1_9_2", "weight": 1.0}),
        "lower",
    ),
    "an id of many lines": (lambda d: d["nodes"][0].update(node_id="a\n\x1b[2J" * 9, layer="x"), "a layer is a number"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_one_line(name: str, tmp_path: Path):
    change, message = HOSTILE[name]
    document = copy.deepcopy(small())
    change(document)
    with pytest.raises(TracerError, match=message) as caught:
        load(document, tmp_path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe{}", b"not json", b"[1", b"[" * 40, b'{"a":' * 40, b'"\\ud800"', b'"' + b"[" * 99 + b'"']
)
def test_what_is_no_json_is_refused(data: bytes, tmp_path: Path):
    with pytest.raises(TracerError, match="no graph in the frontend's format"):
        load(data, tmp_path)


@pytest.mark.parametrize("data", [b"[" * 500_000, b'{"a":' * 50_000, b'{"metadata":' + b"[" * 51 + b"]" * 51 + b"}"])
def test_deep_nesting_is_refused_before_it_is_parsed(data: bytes, tmp_path: Path):
    with pytest.raises(TracerError, match="nested deeper than 50"):
        load(data, tmp_path)


def test_nesting_is_counted_as_a_parser_would(tmp_path: Path):
    """Brackets in texts are none, escaped quotes end no text, and what is closed is not deep."""
    deep = Limits(depth=4)
    for inside in ("[" * 99, '\\" [[[[[ \\\\', "]" * 9 + "[" * 9, [[1], [2], [3]], [[[]]]):
        document = small() | {"more": inside}
        if inside == [[[]]]:
            check_depth(json.dumps(document).encode(), 4)
            with pytest.raises(TracerError, match="deeper than 3"):
                check_depth(json.dumps(document).encode(), 3)
        (tmp_path / "g.json").write_text(json.dumps(document))
        assert neuronpedia.load(tmp_path / "g.json", deep)[0].layout.n_features == 2


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"nodes": 12}, r"at most 1,000 layers and 12 nodes"),  # 2 features, 2·3 errors, 3 tokens, 2 logits
        ({"edges": 4}, r"5 edges \(at most 4\)"),
        ({"json_bytes": 500}, "longer than"),
    ],
)
def test_limits_are_settings(limits: dict, message: str, tmp_path: Path):
    (tmp_path / "g.json").write_text(json.dumps(small()))
    with pytest.raises(TracerError, match=message):
        neuronpedia.load(tmp_path / "g.json", Limits(**limits))
    enough = {name: n + 1 if name != "json_bytes" else 10_000 for name, n in limits.items()}
    neuronpedia.load(tmp_path / "g.json", Limits(**enough))


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path):
    with open(tmp_path / "g.json", "wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(TracerError, match="longer than 64 MB"):
        neuronpedia.load(tmp_path / "g.json")
    with pytest.raises(TracerError, match="can't read"):
        neuronpedia.load(tmp_path / "nowhere.json")


def test_faults_are_not_collected(tmp_path: Path):
    """A million wrong links cost no more than the first."""
    document = small()
    document["links"] = [{}] * 300_000
    with pytest.raises(TracerError, match=r"links\.0\.source"):
        load(document, tmp_path)

"""Links of Neuronpedia's page, in all dialects; hostile ones are refused or counted."""

import json
from urllib.parse import quote, urlencode

import pytest

from tests.helpers import PROMPT, replacement, tiny_llama
from tracer import Graph, TracerError
from tracer.interchange.feature_numbers import cantor
from tracer.interchange.links import read_link

PAGE = "https://www.neuronpedia.org/gemma-2-2b/graph?"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return replacement(tiny_llama()).trace(PROMPT, max_nodes=30)


def parts(graph: Graph, node: int) -> tuple[int, int, int]:
    layout = graph.layout
    return int(layout.layer[node]), int(layout.feature[node]), int(layout.position[node])


def test_pins_groups_and_thresholds(graph: Graph) -> None:
    first, second = graph.ids[0], graph.ids[7]
    token = f"E_{graph.token_ids[2]}_2"
    link = read_link(
        PAGE
        + urlencode(
            {
                "slug": "x",
                "pinnedIds": f"{first},{token},99_1_1,{first}",
                "supernodes": json.dumps([["ball", first, second, "nowhere"], ["lost", "nowhere"], []]),
                "pruningThreshold": "0.7",
                "densityThreshold": "0.95",
                "clickedId": "dead",
            }
        ),
        graph,
    )
    assert link.pins == [first, graph.ids[graph.layout.first_embedding + 2]]
    assert link.supernodes == [("ball", [first, second])]
    assert (link.node_threshold, link.edge_threshold) == (0.7, 0.95)
    assert link.ignored == {"pins that this graph does not have": 1, "members that this graph does not have": 2}


@pytest.mark.parametrize("dialect", ["cantor", "old", "index", "number alone"])
def test_labels_in_every_dialect(graph: Graph, dialect: str) -> None:
    layer, index, position = parts(graph, 9)
    old = layer * 100_000 + index
    name = {
        "cantor": f"{layer}_{cantor(layer, index)}_{position}",
        "old": f"{layer}_{old}_{position}",
        "index": f"{layer}_{index}_{position}",
        "number alone": str(old),
    }[dialect]
    link = read_link(PAGE + "clerps=" + quote(json.dumps([[name, "<b>ball</b>"], ["7_7_7", "?"]])), graph)
    assert link.labels[graph.ids[9]] == "<b>ball</b>"
    assert link.ignored == {"labels of features that this graph does not have": 1}
    if dialect == "number alone":
        same = [i for i in range(graph.layout.n_features) if parts(graph, i)[:2] == (layer, index)]
        assert set(link.labels) == {graph.ids[i] for i in same}


@pytest.mark.parametrize(
    "text",
    ["", "hello", PAGE, "https://[", "x" * 2_000_000, PAGE + "&".join(f"a{i}=1" for i in range(200)), PAGE + "slug=x"],
)
def test_what_is_no_link_is_one_line(graph: Graph, text: str) -> None:
    with pytest.raises(TracerError) as caught:
        read_link(text, graph)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "query",
    [
        "supernodes=%5B",
        "supernodes=" + "[" * 50_000,
        "supernodes=3",
        'supernodes=[["a",1]]',
        'clerps={"a":1}',
        "clerps=[[1]]",
        "pruningThreshold=7",
        "pruningThreshold=nan",
        "densityThreshold=x",
    ],
)
def test_what_cant_be_read_is_counted(graph: Graph, query: str) -> None:
    link = read_link(PAGE + query, graph)
    assert sum(link.ignored.values()) == 1
    assert not link.pins and not link.supernodes and not link.labels

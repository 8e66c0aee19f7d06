"""Numbers that hold a layer and an index, in the three dialects."""

import pytest

from tracer import TracerError
from tracer.interchange.feature_numbers import cantor, read_indices
from tracer.interchange.schema import Node


def node(name: str, number: int | None, position: int = 5) -> Node:
    return Node(node_id=name, feature=number, layer="0", ctx_idx=position, feature_type="x", jsNodeId="", clerp="")


def test_cantor_numbers_are_the_published_ones():
    assert cantor(23, 12237) == 75172167 and cantor(20, 15589) == 121843834


@pytest.mark.parametrize(
    ("dialect", "numbers"),
    [
        ("cantor", [75172167, cantor(0, 7), cantor(999, 2**31 - 1)]),
        ("layer·100000 + index", [2312237, 7, 99900042]),
        ("index", [12237, 7, 2**31 - 1]),
    ],
)
@pytest.mark.parametrize("ids", [["23_12237_5", "0_7_5", "x"], ["a", "b", "c"]])
def test_each_dialect_is_found(dialect: str, numbers: list[int], ids: list[str]):
    nodes = [node(name, number) for name, number in zip(ids, numbers, strict=True)]
    found, name = read_indices(nodes, [23, 0, 999])
    assert name == dialect and found[:2] == [12237, 7]
    assert found[2] == (42 if dialect.startswith("layer") else 2**31 - 1)


def test_ids_decide_where_a_number_would_fit_two_dialects():
    assert cantor(0, 4) == 14
    assert read_indices([node("0_4_5", 14)], [0]) == ([4], "cantor")
    assert read_indices([node("0_14_5", 14)], [0]) == ([14], "layer·100000 + index")
    assert read_indices([node("1_14_5", 14)], [1]) == ([14], "index")


def test_an_id_may_stand_for_a_number_that_is_missing():
    assert read_indices([node("3_14_5", None), node("3_15_5", cantor(3, 15))], [3, 3]) == ([14, 15], "cantor")
    assert read_indices([], []) == ([], None)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("3_14_5", cantor(3, 15))],  # the id says otherwise
        [node("3_14_5", cantor(3, 14)), node("3_15_5", 15)],  # two dialects
        [node("a", None)],
        [node("3_14_6", None)],  # another position: not this node's name
        [node("a", -1)],
    ],
)
def test_numbers_that_contradict_are_refused(nodes: list[Node]):
    with pytest.raises(TracerError, match="feature numbers"):
        read_indices(nodes, [3] * len(nodes))

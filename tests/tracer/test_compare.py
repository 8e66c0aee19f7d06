"""Two graphs side by side: every figure computed by hand on two graphs of a few nodes."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tests.helpers import PROMPT, replacement, tiny_llama
from tracer import Graph, TracerError
from tracer.graph.compare import check_comparable, compare_features, compare_targets, shared_influence
from tracer.graph.file import Target
from tracer.graph.layout import Layout

UNNAMED = {"model": "unknown", "model_fingerprint": ""}
META = {"model": "m", "model_fingerprint": "a", "features": "neurons", "basis_fingerprint": "b"}


def graph(
    nodes: list[tuple[int, int, int]],
    activation: list[float],
    edges: dict[tuple[str, str], float],
    targets: list[Target],
    **meta: Any,
) -> Graph:
    """Two layers, two tokens; `nodes` (layer, position, index), `edges` {(source, target): effect}."""
    layer, position, index = np.array(nodes, dtype=np.int64).reshape(-1, 3).T
    layout = Layout(layer, position, index, 2, 2, len(targets))
    empty = sparse.csr_array((layout.n_nodes, layout.n_nodes), dtype=np.float32)
    made = Graph(layout, np.array(activation, dtype=np.float32), targets, empty, [3, 4], META | meta)
    matrix = np.zeros(empty.shape, dtype=np.float32)
    for (source, target), effect in edges.items():
        matrix[made.index[target], made.index[source]] = effect
    made.adjacency = sparse.csr_array(matrix)
    return made


def left(**meta: Any) -> Graph:
    """Influence, in shares of the target's .6: of 1_9_1 3/4; of 0_5_1 1/4 + 3/4·1/4 = 7/16; of 0_5_0 3/4·1/4 = 3/16."""
    edges = {
        ("1_9_1", "LOGIT_0"): 3.0,
        ("0_5_1", "LOGIT_0"): -1.0,
        ("0_5_0", "1_9_1"): 1.0,
        ("0_5_1", "1_9_1"): 1.0,
        ("ERR_0_1", "1_9_1"): 2.0,
    }
    return graph([(0, 0, 5), (0, 1, 5), (1, 1, 9)], [8, 2, 4], edges, [Target(" ball", 7, 0.6, 0.6, 4.0)], **meta)


def right(**meta: Any) -> Graph:
    """Influence: of 0_5_1 and of 1_4_1 half of .5 each."""
    edges = {("0_5_1", "LOGIT_0"): 1.0, ("1_4_1", "LOGIT_0"): 1.0, ("E_0", "1_4_1"): 2.0}
    targets = [Target(" net", 8, 0.5, 0.5, 3.0), Target(" ball", 7, 0.2, 0.2, 1.0)]
    return graph([(0, 1, 5), (1, 1, 4)], [3, 1], edges, targets, **meta)


def test_features_are_aligned_by_layer_and_index() -> None:
    table = compare_features(left(), right())
    assert table[["layer", "feature", "where"]].to_numpy().tolist() == [
        [0, 5, "both"],  # .6·10/16 + .5·1/2
        [1, 9, "left"],  # .6·12/16
        [1, 4, "right"],  # .5·1/2
    ]
    assert table["influence_left"].tolist() == pytest.approx([0.375, 0.45, 0])
    assert table["influence_right"].tolist() == pytest.approx([0.25, 0, 0.25])
    assert table["change"].tolist() == pytest.approx([-0.125, -0.45, 0.25])


def test_activation_and_node_are_those_of_the_most_influential_position() -> None:
    """Position 0 of feature 5 fires four times as high, but less of the explanation passes through it."""
    table = compare_features(left(), right())
    assert table["activation_left"].tolist()[:2] == [2, 4] and np.isnan(table["activation_left"][2])
    assert table["activation_right"][0] == 3 and np.isnan(table["activation_right"][1])
    assert table["activation_change"][0] == 1 and np.isnan(table["activation_change"][1:]).all()
    assert table["node_left"].tolist() == ["0_5_1", "1_9_1", None]
    assert table["node_right"].tolist() == ["0_5_1", None, "1_4_1"]
    assert table["positions_left"].tolist() == [2, 1, 0] and table["positions_right"].tolist() == [1, 0, 1]


def test_an_unknown_activation_is_not_taken_from_another_position() -> None:
    unknown = left()
    unknown.activation[1] = np.nan
    assert np.isnan(compare_features(unknown, right())["activation_left"][0])


def test_how_much_the_shared_features_carry() -> None:
    assert shared_influence(compare_features(left(), right())) == pytest.approx((10 / 22, 8 / 16))


def test_the_other_way_round_is_the_mirror_image() -> None:
    one, other = compare_features(left(), right()), compare_features(right(), left())
    assert other["change"].tolist() == pytest.approx((-one["change"]).tolist())
    assert other["where"].tolist() == ["both", "right", "left"]


def test_targets_are_aligned_by_token_id() -> None:
    table = compare_targets(left(), right())
    assert table["token"].tolist() == [" ball", " net"]  # .6, .5
    assert table["probability_left"][0] == 0.6 and np.isnan(table["probability_left"][1])
    assert table["probability_right"].tolist() == [0.2, 0.5]
    assert table["value_left"][0] == 4 and table["value_right"].tolist() == [1, 3]


def test_tokens_of_one_text_are_told_apart_by_their_ids() -> None:
    other = left()
    other.targets[0] = Target(" ball", 70, 0.3, 0.3, 4.0)
    assert len(compare_targets(left(), other)) == 2 and len(compare_targets(left(), left())) == 1


def test_a_difference_is_no_token() -> None:
    other = right()
    other.targets[0] = Target(" net − ball", None, None, 1.0, 2.0)
    table = compare_targets(left(), other)
    assert table["token"].tolist() == [" net − ball", " ball"] and np.isnan(table["probability_right"][0])


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        ({}, {"model": "n", "model_fingerprint": "c"}, r"different models \(m and n\)"),
        ({}, {"features": "plt", "basis_fingerprint": "c"}, r"different feature sets \(neurons and plt\)"),
        ({}, {"model_fingerprint": "c"}, r"different models \(m\)"),  # the same name, other weights
        ({"model_fingerprint": ""}, {"model": "n"}, r"different models \(m and n\)"),
        ({"basis_fingerprint": None}, {"features": "plt"}, r"different feature sets"),
        (UNNAMED, UNNAMED, "neither graph says"),
        ({}, {"model": "a\n b" * 1000, "model_fingerprint": ""}, r"different models \(m and a ba ba"),
    ],
)
def test_graphs_of_different_models_or_features_are_refused(mine: dict, theirs: dict, message: str) -> None:
    with pytest.raises(TracerError, match=message) as caught:
        compare_features(left(**mine), right(**theirs))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "imported", [{"model_fingerprint": ""}, {"model": "org/m", "model_fingerprint": "", "basis_fingerprint": None}]
)
def test_a_graph_from_a_file_is_known_by_its_names(imported: dict) -> None:
    check_comparable(left(), right(**imported))


def test_a_graph_without_features() -> None:
    bare = graph([], [], {("E_0", "LOGIT_0"): 1.0}, [Target(" ball", 7, 0.6, 0.6, 4.0)])
    table = compare_features(bare, right())
    assert table["where"].tolist() == ["right", "right"] and shared_influence(table) == (0, 0)


def test_a_graph_with_itself() -> None:
    """A real trace: all shared, nothing changed, and all influence of its features is there."""
    traced = replacement(tiny_llama()).trace(PROMPT, max_nodes=80)
    table = compare_features(traced, traced)
    assert (table["where"] == "both").all() and (table["change"] == 0).all()
    n = traced.layout.n_features
    assert table["influence_left"].sum() == pytest.approx(traced.influence[:n].sum())
    assert table["positions_right"].sum() == n
    assert shared_influence(table) == pytest.approx((1, 1))

"""What the canvas is told of a graph."""

import numpy as np

from tracer.graph.layout import Layout
from ui.graph_payload import feature_positions_of


def layout(*features: tuple[int, int, int]) -> Layout:
    """Of features given as (layer, position, feature), of a model with two layers and a prompt of four tokens."""
    columns = np.array(sorted(features), dtype=np.int64).reshape(-1, 3).T
    return Layout(*columns, n_layers=2, n_tokens=4, n_targets=1)


def test_at_how_many_positions_a_feature_is_a_node() -> None:
    """Feature 7 of layer 0 at three positions; feature 7 of layer 1 is another feature. Position 0 has none."""
    found, positions = feature_positions_of(layout((0, 1, 7), (0, 1, 8), (0, 2, 7), (0, 3, 7), (1, 3, 7)))
    assert found[:5].tolist() == [3, 1, 3, 3, 1]
    assert not found[5:].any(), "errors, tokens, logits and bias nodes have no such number"
    assert positions == 3


def test_a_graph_without_features() -> None:
    found, positions = feature_positions_of(layout())
    assert not found.any() and positions == 0

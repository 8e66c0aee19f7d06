"""A graph's prediction against the run that holds what the graph holds."""

import numpy as np
import pytest

from tests.helpers import PROMPT
from tests.tracer.steering.models import made
from tracer import Edit
from tracer.steering.predict import predict
from tracer.steering.run import Applied


def strongest(graph, n):
    rows = graph.adjacency[graph.layout.first_logit : graph.layout.first_bias, : graph.layout.n_features].toarray()
    return [
        tuple(int(x[s]) for x in (graph.layout.layer, graph.layout.position, graph.layout.feature))
        for s in np.argsort(-abs(rows).sum(0))[: 6 * n : 6]
    ]


@pytest.mark.parametrize(("family", "basis"), [("gemma3", "neurons"), ("llama", "plt relu"), ("gemma2", "clt relu")])
def test_direct_is_the_measured_change(family, basis):
    model = made(family, basis)
    graph = model.trace(PROMPT, max_nodes=None, max_logits=4)
    edits = [Edit(*place, factor=f) for place, f in zip(strongest(graph, 3), (-1, 0.5, 2), strict=True)]
    steered = model.steer(PROMPT, edits, protocol="direct")
    prediction = predict(graph, steered.edits, clipped=basis != "neurons")
    assert prediction.missing == []
    for target in graph.targets:
        direct, _ = prediction.of_target(graph, target.id)
        assert direct == pytest.approx(float(steered.delta[target.id]), rel=1e-3, abs=1e-4)
    assert prediction.of_target(graph, 60_000) is None


def test_through_features_follows_each_edge_once_and_stops_at_edited_nodes():
    """Three features in a row, by hand: s → m → logit and s → logit."""
    model = made("llama", "neurons")
    graph = model.trace(PROMPT, max_nodes=None, max_logits=2)
    layout, (layer, position, feature) = graph.layout, next(p for p in strongest(graph, 20) if p[0] == 0)
    s = graph.index[f"{layer}_{feature}_{position}"]
    edit = Applied(layer, position, feature, -graph.activation[s], graph.activation[s], (layer,))
    matrix = graph.adjacency.toarray()
    relative = np.zeros(layout.n_nodes)
    relative[s] = -2
    for t in range(layout.n_features):  # sources come before their targets
        if t != s and graph.activation[t] != 0:
            relative[t] = matrix[t] @ relative / graph.activation[t]
    prediction = predict(graph, [edit], clipped=False)
    np.testing.assert_allclose(prediction.through, matrix @ relative, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(prediction.direct, -2 * matrix[:, s], rtol=1e-5, atol=1e-6)
    assert abs(prediction.through - prediction.direct).max() > 1e-3


def test_clipped_features_end_at_zero():
    model = made("llama", "plt relu")
    graph = model.trace(PROMPT, max_nodes=None, max_logits=2)
    places = [p for p in strongest(graph, 4) if p[0] == 0] or strongest(graph, 1)
    edits = [Applied(*p, 50.0, float(graph.activation[graph.index[f"{p[0]}_{p[2]}_{p[1]}"]]), (p[0],)) for p in places]
    free, clipped = (predict(graph, edits, clipped=c).through for c in (False, True))
    assert not np.allclose(free, clipped)


def test_an_edit_that_asks_for_what_is_there_is_predicted_to_do_nothing():
    """Also where activations are negative, as TopK's can be."""
    model = made("llama", "plt topk skip")
    graph = model.trace(PROMPT, max_nodes=None, max_logits=2)
    graph.activation[::3] *= -1
    layer, position, feature = strongest(graph, 1)[0]
    now = float(graph.activation[graph.index[f"{layer}_{feature}_{position}"]])
    for value, writes in ((now, (layer,)), (now + 5, ())):
        prediction = predict(graph, [Applied(layer, position, feature, value, now, writes)], clipped=True)
        assert abs(prediction.through).max() < 1e-6 and not prediction.missing


def test_what_the_graph_does_not_know_is_said():
    model = made("llama", "neurons")
    graph = model.trace(PROMPT, max_nodes=20)
    gone = next(f for f in range(48) if f"1_{f}_4" not in graph.index)
    edit = Applied(1, 4, gone, 2.0, 1.0, (1,))
    prediction = predict(graph, [edit], clipped=False)
    assert prediction.missing == [edit] and not prediction.direct.any()

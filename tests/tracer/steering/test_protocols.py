"""What each protocol holds: `direct` against the graph's own prediction, the others against each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers import PROMPT, replacement, tiny_llama
from tests.tracer.steering.models import EVERY, made
from tracer import Edit, TracerError
from tracer.features.neurons import NeuronBasis
from tracer.features.transcoders import TranscoderBasis
from tracer.steering import protocols, run, sites
from tracer.steering.protocols import Held, choose

FACTORS = (-1.0, 0.0, 2.0, 0.5)


def traced(model, ids):
    return model.trace(tokens=ids, max_nodes=None, max_logits=5)


def check_prediction(model, graph, n_edits=5):
    """Change of the demeaned logits = Σ_s A[logit, s]·(v_s − a_s)/a_s, of single edits and of all together."""
    layout = graph.layout
    rows = graph.adjacency[layout.first_logit : layout.first_bias, : layout.n_features].toarray()
    chosen = np.argsort(-abs(rows).sum(0))[: 12 * n_edits : 12]
    edits, predicted = [], []
    for i, (s, factor) in enumerate(zip(chosen, np.resize(FACTORS, len(chosen)), strict=True)):
        where = int(layout.layer[s]), int(layout.position[s]), int(layout.feature[s])
        # every other edit by value, so that the graph's activation counts too
        amount = {"factor": factor} if i % 2 else {"value": factor * float(graph.activation[s])}
        edits.append(Edit(*where, **amount))
        predicted.append(rows[:, s] * (factor - 1))
    assert abs(sum(predicted)).max() > 0.01
    for some, expected in [*zip([[e] for e in edits], predicted, strict=True), (edits, sum(predicted))]:
        delta = model.steer(tokens=graph.token_ids, edits=some, protocol="direct").delta
        measured = delta[[t.id for t in graph.targets]].numpy()
        np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "basis"), EVERY)
def test_direct_is_what_the_graph_predicts(family, basis):
    model = made(family, basis)
    ids = model.token_ids(PROMPT)
    check_prediction(model, traced(model, ids))
    check_prediction(model, traced(model, ids[1:]), n_edits=2)  # position 0 counts


def _negative(write):
    return lambda self, layer, features: -write(self, layer, features)


def _next(place):
    def wrong(edits, n_tokens, *sizes):
        return [replace(p, position=(p.position + 1) % n_tokens) for p in place(edits, n_tokens, *sizes)]

    return wrong


def _other_slot(write):
    return lambda self, layer, features: write(self, layer, features).flip(1)


def _none(_norms):
    return lambda self: []


def _nothing(_of):
    return lambda *_: None


def _outer(module):
    return lambda layer, hook: module(layer, "hook_mlp_out")


BROKEN = {
    "sign, neurons": ("llama", "neurons", NeuronBasis, "write_vectors", _negative),
    "sign, transcoders": ("llama", "plt relu", TranscoderBasis, "write_vectors", _negative),
    "position": ("llama", "plt relu", run, "place", _next),
    "slot of a cross-layer feature": ("llama", "clt relu", TranscoderBasis, "write_vectors", _other_slot),
    "norm scales not held": ("llama", "neurons", Held, "_norms", _none),
    "gain of the norm after the MLP": ("gemma3", "neurons", sites, "output_module", _outer),
    "patterns not held": ("gemma3", "neurons", protocols, "hold_pattern", _nothing),
    "skip": ("llama", "plt topk skip", TranscoderBasis, "skip_matrix", _nothing),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_mistake_is_noticed(broken, monkeypatch):
    family, basis, owner, name, wrong = BROKEN[broken]
    model = made(family, basis)
    graph = traced(model, model.token_ids(PROMPT))
    check_prediction(model, graph)
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))
    with pytest.raises(AssertionError, match="Not equal"):
        check_prediction(model, graph)


@pytest.mark.parametrize(("family", "basis"), [pair for pair in EVERY if "clt" not in pair[1]])
def test_holding_the_edited_layer_alone_is_clamping_it(family, basis):
    """Nothing has changed before that layer, and after it both hold patterns alone."""
    model = made(family, basis)
    edits = [Edit(1, 4, 7, value=2.0), Edit(1, slice(6, None), 11, value=-1.5)]
    clamp = model.steer(PROMPT, edits)
    held = model.steer(PROMPT, edits, protocol="constrained", layers=(1, 2))
    torch.testing.assert_close(held.raw_logits, clamp.raw_logits, rtol=1e-5, atol=1e-5)
    assert (clamp.raw_logits - clamp.raw_baseline).abs().max() > 0.01


def test_over_all_layers_constrained_is_direct():
    model = made("gemma2", "clt relu")
    edits = [Edit(0, 3, 7, value=2.0)]
    direct = model.steer(PROMPT, edits, protocol="direct")
    held = model.steer(PROMPT, edits, protocol="constrained", layers=(0, 3))
    assert torch.equal(held.logits, direct.logits) and held.layers == (0, 3) and direct.layers is None


def test_protocols_differ():
    model = made("gemma3", "neurons")
    layers = {"constrained": (0, 2)}
    logits = [
        model.steer(PROMPT, [Edit(0, 2, 7, value=5.0)], protocol=name, layers=layers.get(name)).logits
        for name in protocols.PROTOCOLS
    ]
    for i, one in enumerate(logits):
        assert all((one - other).abs().max() > 1e-3 for other in logits[:i])


def test_writes_outside_the_range_are_dropped():
    model = made("llama", "clt relu")
    edits = [Edit(0, 3, 7, value=2.0), Edit(2, 3, 7, value=2.0)]
    both = model.steer(PROMPT, edits, protocol="constrained", layers=(0, 2))
    assert [e.writes for e in both.edits] == [(0, 1), ()]
    one = model.steer(PROMPT, edits[:1], protocol="constrained", layers=(0, 2))
    assert torch.equal(both.logits, one.logits)
    assert model.steer(PROMPT, edits).edits[0].writes == (0, 1, 2)
    with pytest.raises(TracerError, match="no edit writes within layers 0 to 1"):
        model.steer(PROMPT, edits[1:], protocol="constrained", layers=(0, 2))


@pytest.mark.parametrize(
    ("name", "layers", "says"),
    [
        ("patch", None, "no protocol 'patch'; there are direct, constrained, clamp, free"),
        ("constrained", None, "needs layers"),
        ("clamp", (0, 1), "takes no layers"),
        ("constrained", (2, 2), "0 ≤ a < b ≤ 3"),
        ("constrained", (-1, 2), "0 ≤ a < b ≤ 3"),
        ("constrained", (0, 4), "0 ≤ a < b ≤ 3"),
        ("constrained", (0, 1, 2), "0 ≤ a < b ≤ 3"),
    ],
)
def test_bad_protocols_are_one_line(name, layers, says):
    with pytest.raises(TracerError, match=r"^[^\n]+$") as caught:
        choose(name, layers, 3)
    assert says in str(caught.value)


def test_weights_of_low_precision_are_raised_and_put_back():
    model = replacement(tiny_llama().to(torch.bfloat16))
    check_prediction(model, traced(model, model.token_ids(PROMPT)), n_edits=2)
    assert {p.dtype for p in model.anatomy.model.parameters()} == {torch.bfloat16}

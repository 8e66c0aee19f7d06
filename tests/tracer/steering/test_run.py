"""What an edit does to the real model: nothing if it asks for what is there, else its feature ends at the value."""

import pytest
import torch

from tests.helpers import DEVICE, FAMILIES, PROMPT
from tests.tracer.steering.models import EVERY, active, made
from tracer import Edit, TracerError
from tracer.steering.protocols import PROTOCOLS

LAYERS = {"constrained": (1, 3)}  # of the protocols that need any


@pytest.mark.parametrize(("family", "basis"), EVERY)
def test_asking_for_what_is_there_changes_nothing_to_the_bit(family, basis):
    model = made(family, basis)
    ids = model.token_ids(PROMPT)
    where = [*active(model), (1, 0, 3), (2, 5, 4)]  # at the first token too
    plain = model.record(ids)
    for protocol in PROTOCOLS:
        options = {"tokens": ids, "protocol": protocol, "layers": LAYERS.get(protocol)}
        factors = model.steer(edits=[Edit(*place, factor=1) for place in where], **options)
        values = [Edit(e.layer, e.position, e.feature, value=e.before) for e in factors.edits]
        for steered in (factors, model.steer(edits=values, **options)):
            assert torch.equal(steered.logits, plain.logits) and torch.equal(steered.baseline, plain.logits)
            assert torch.equal(steered.raw_logits, plain.raw_logits)
            assert steered.kl == 0 and not steered.delta.any()
    assert sum(e.before != 0 for e in factors.edits) >= 6


@torch.no_grad()
def activations_by_hand(model, at, stream):
    """(T, F), from the definition, at a stream before the norm of the MLP."""
    anatomy, layer = model.anatomy, model.anatomy.layers[at]
    x = layer.ln2(stream)
    if model.basis.name == "neurons":
        act = layer.mlp.act if layer.gate is None else layer.mlp.act_fn
        return act(layer.up(x)) if layer.gate is None else act(layer.gate(x)) * layer.up(x)
    files = model.basis.files
    inputs = {
        "mlp.hook_in": x,
        "hook_resid_mid": stream,
        "ln2.hook_normalized": anatomy.centred(stream) * anatomy.norm_scale(layer.ln2, stream),
    }[files.feature_input_hook]
    pre = inputs.cpu() @ files.encoder_rows(at, torch.arange(files.n_features)).T + files.encoder_bias(at)
    if files.activation == "topk":
        kept = pre >= pre.topk(files.k, dim=1).values[:, -1:]
    else:
        threshold = files.threshold(at)
        kept = pre > (0 if threshold is None else threshold)
    kept[0] = False  # the first token has no transcoder features
    return pre * kept


def writes_by_hand(model, at, feature):
    """The rows that a feature writes, by layer."""
    if model.basis.name == "neurons":
        return {at: model.anatomy.layers[at].down.columns(torch.tensor([feature]))[0]}
    rows = model.basis.files.decoder_rows(at, torch.tensor([feature]))[0]
    return dict(enumerate(rows.view(-1, rows.shape[-1]).to(DEVICE), start=at))


@pytest.mark.parametrize(("family", "basis"), EVERY)
@pytest.mark.parametrize("protocol", ["clamp", "free"])
def test_a_feature_ends_at_its_value(family, basis, protocol):
    """In the edited run each MLP writes what it really does there, and (value − activation there) × write vector."""
    model = made(family, basis)
    before, after, handles = {}, {}, []
    for at, layer in enumerate(model.anatomy.layers):
        look, watch = layer.ln2.register_forward_pre_hook, layer.module.register_forward_hook
        handles.append(look(lambda _m, i, at=at: before.__setitem__(at, i[0][0])))
        handles.append(watch(lambda _m, _i, o, at=at: after.__setitem__(at, o if o.ndim == 2 else o[0])))
    edits = [
        Edit(0, 3, 5, value=2.0),
        Edit(0, 3, 9, value=-1.0),
        Edit(1, slice(4, 6), 7, value=3.0),
        Edit(1, 0, 7, value=1.5),
    ]
    steered = model.steer(PROMPT, edits, protocol=protocol)  # its second pass is the one that stays in the dictionaries
    for handle in handles:
        handle.remove()
    assert (steered.logits - steered.baseline).abs().max() > 1e-3
    now = {at: activations_by_hand(model, at, before[at]) for at in (0, 1)}
    changes = [torch.zeros_like(before[0]) for _ in model.anatomy.layers]
    for e in steered.edits:
        for to, row in writes_by_hand(model, e.layer, e.feature).items():
            changes[to][e.position] += (e.value - now[e.layer][e.position, e.feature]) * row
    for at, layer in enumerate(model.anatomy.layers):
        with torch.no_grad():
            written = layer.mlp(layer.ln2(before[at])[None])[0]
            norm = layer.post_mlp_norm or torch.nn.Identity()
            inner = model.basis.writes_at == "mlp.hook_out"
            written = norm(written + changes[at]) if inner else norm(written) + changes[at]
        torch.testing.assert_close(after[at] - before[at], written, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_neuron_set_before_the_down_projection_gives_the_same(family):
    """The plain model, with one activation overwritten: independent of every basis."""
    model = made(family, "neurons")
    ids, seen = model.token_ids(PROMPT), []

    def overwrite(_module, inputs):
        h = inputs[0].clone()
        seen.append(float(h[0, 4, 7]))
        h[0, 4, 7] = 2.5
        return h

    handle = model.anatomy.layers[1].down_projection.register_forward_pre_hook(overwrite)
    by_hand = model.anatomy.model(torch.tensor([ids], device=DEVICE), use_cache=False).logits[0, -1].cpu()
    handle.remove()
    steered = model.steer(tokens=ids, edits=[Edit(1, 4, 7, value=2.5)], protocol="free")
    torch.testing.assert_close(steered.logits, by_hand, rtol=1e-5, atol=1e-5)
    assert steered.edits[0].before == seen[0]


@pytest.mark.parametrize("basis", ["plt relu", "plt topk skip", "clt jumprelu", "neurons"])
def test_activations_before_are_those_of_the_model(basis):
    model = made("gemma2", basis)
    record, where = model.record(model.token_ids(PROMPT)), active(model)
    edits = model.steer(PROMPT, [Edit(*place, factor=-2) for place in where]).edits
    assert [(e.layer, e.position, e.feature) for e in edits] == where
    for e in edits:
        own = float(model.activations(record, e.layer, e.feature)[e.position])
        assert e.before == pytest.approx(own, rel=1e-5, abs=1e-6) and e.value == -2 * e.before != 0


def test_at_the_first_token_a_transcoders_activation_counts_as_zero_and_a_neurons_is_real():
    for basis in ("plt relu", "neurons"):
        model = made("llama", basis)
        record = model.record(model.token_ids(PROMPT))
        feature = next(f for f in range(40) if model.activations(record, 1, f)[0] != 0)
        (edit,) = model.steer(PROMPT, [Edit(1, 0, feature, factor=2)]).edits
        assert (edit.before == 0) == (basis == "plt relu")


def test_figures_of_a_run():
    model = made("gemma2", "neurons")
    steered = model.steer(PROMPT, [Edit(1, -1, 7, value=8.0)])
    p, q = torch.softmax(steered.baseline.double(), 0), torch.softmax(steered.logits.double(), 0)
    torch.testing.assert_close(steered.baseline_probabilities, p)
    torch.testing.assert_close(steered.probabilities, q)
    assert steered.kl == pytest.approx(float((p * (p / q).log()).sum())) and steered.kl > 0
    after, before = steered.raw_logits.double(), steered.raw_baseline.double()
    torch.testing.assert_close(steered.delta, (after - after.mean()) - (before - before.mean()))
    torch.testing.assert_close(3 * torch.tanh(steered.raw_logits / 3), steered.logits)  # the model's softcap is 3
    top, likely = steered.top(3), q.topk(3).indices.tolist()
    assert top[:3] == p.topk(3).indices.tolist() and set(top) == {*top[:3], *likely} and len(set(top)) == len(top)
    assert all(torch.equal(x, getattr(steered, name)) for name, x in steered.tensors().items())


def test_refusals_are_one_line_and_leave_the_model_as_it_was():
    model = made("llama", "neurons")
    refused = {
        "layer 3 of an edit": ([Edit(3, 0, 0, value=1.0)], {}),
        "no edit": ([], {}),
        "needs layers": ([Edit(0, 0, 0, value=1.0)], {"protocol": "constrained"}),
        "one of the two": ([Edit(0, 0, 0, value=1.0)], {"tokens": [1]}),
    }
    for says, (edits, options) in refused.items():
        with pytest.raises(TracerError, match=says) as caught:
            model.steer(PROMPT, edits, **options)
        assert "\n" not in str(caught.value)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.anatomy.model.modules())

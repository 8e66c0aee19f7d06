"""Transcoders on every family: rows sum to their targets, and an edge is what moves. Random sets of each kind."""

import itertools
import threading
from types import SimpleNamespace

import pytest
import torch

import tests.helpers as helpers
from tests.helpers import FAMILIES, PROMPT, transcoders, with_transcoders
from tests.tracer.test_direct import check_direct
from tracer import TracerError
from tracer.features import activations
from tracer.features.points import ReadPoint
from tracer.features.transcoders import TranscoderEncoding
from tracer.model.load import transcoder_basis
from tracer.replacement import ReplacementModel

KINDS = {
    "plt relu": {},
    "plt topk skip": {"activation": "topk", "skip": True},
    "plt jumprelu, normalised": {"activation": "jumprelu", "reads": "ln2.hook_normalized", "writes": "hook_mlp_out"},
    "clt jumprelu": {"kind": "clt", "activation": "jumprelu", "reads": "hook_resid_mid", "writes": "hook_mlp_out"},
    "clt relu": {"kind": "clt"},
}


def made(family, kind, folder):
    model = FAMILIES[family]()
    return with_transcoders(model, transcoders(folder / "set", model, **KINDS[kind]))


EXCLUDED = [(family, kind, True) for family in FAMILIES for kind in KINDS]
COUNTED = [(family, kind, False) for family in FAMILIES for kind in ("plt topk skip", "clt jumprelu")]


@pytest.mark.parametrize(("family", "kind", "bos"), EXCLUDED + COUNTED)  # does position 0 have no features, or some
def test_rows_sum_to_their_targets(family, kind, bos, tmp_path):
    model = made(family, kind, tmp_path)
    ids = model.token_ids(PROMPT)
    for max_nodes in (None, 30):
        graph = model.trace(tokens=ids if bos else ids[1:], max_nodes=max_nodes, rerank_every=7)
        assert graph.row_error < 1e-4
        assert graph.layout.n_features == (max_nodes or graph.meta["n_active"])
        assert (graph.dropped is not None) == (max_nodes is not None)


@pytest.mark.parametrize(("family", "kind"), list(itertools.product(FAMILIES, KINDS)))
def test_direct_effects_are_the_edges(family, kind, tmp_path):
    model = made(family, kind, tmp_path)
    graph = model.trace(PROMPT, max_nodes=None, max_logits=4)
    layout = graph.layout
    errors = [i for i in range(layout.first_error, layout.first_embedding) if layout.node_position[i]]
    embeddings = range(layout.first_embedding, layout.first_logit)
    check_direct(model, graph, [*range(0, layout.n_features, 17), *errors[::5], *embeddings])


def test_activations_are_those_of_the_set(tmp_path):
    """Against the definition, computed from the files by hand."""
    for kind in ("plt relu", "plt topk skip", "plt jumprelu, normalised"):
        model = made("llama", kind, tmp_path / kind.replace(" ", "_"))
        record = model.record(model.token_ids(PROMPT))
        encoding = model.basis.encode(record, [0])
        files = model.basis.files
        for layer in range(files.n_layers):
            inputs = encoding.point(layer).values.cpu()
            pre = inputs @ files.encoder_rows(layer, torch.arange(files.n_features)).T + files.encoder_bias(layer)
            if files.activation == "topk":
                active = pre >= pre.topk(files.k, dim=1).values[:, -1:]
            else:
                threshold = files.threshold(layer)
                active = pre > (0 if threshold is None else threshold)
            span = encoding.features.span(layer)
            dense = torch.zeros_like(pre)
            place = encoding.features.position[span].cpu(), encoding.features.feature[span].cpu()
            dense[place] = encoding.values[span].cpu()
            torch.testing.assert_close(dense[1:], (pre * active)[1:])
            for feature in (0, 7):
                torch.testing.assert_close(model.activations(record, layer, feature), (pre * active)[:, feature])


def test_topk_keeps_negative_survivors(tmp_path):
    inputs = torch.tensor([[1.0], [-1.0]])
    rows = torch.tensor([[-1.0], [-2.0], [-3.0], [-4.0]])
    position, feature, value = activations.largest_k(inputs, [(0, rows[:3]), (3, rows[3:])], torch.zeros(4), 2)
    assert position.tolist() == [0, 0, 1, 1]
    assert feature.tolist() == [0, 1, 2, 3]
    assert value.tolist() == [-1.0, -2.0, 3.0, 4.0]


def test_jumprelu_is_strict():
    rows = torch.tensor([[1.0], [1.0]])
    found = activations.above_threshold(torch.ones(1, 1), [(0, rows)], torch.zeros(2), torch.tensor([1.0, 0.5]))
    assert [x.tolist() for x in found] == [[0], [1], [1.0]]


def _no_bias(self, layer, position, feature, read=TranscoderEncoding.read):
    vector, own = read(self, layer, position, feature)
    return vector, own * 0


def _no_gain(self, gradient, position):
    return gradient


def _no_write_gain(self, layer):
    return None


def _no_skip(self, layer):
    return None


BROKEN = {
    "encoder bias left out": ("llama", "plt relu", TranscoderEncoding, "read", _no_bias),
    "norm gain left out": ("gemma2", "plt relu", ReadPoint, "transpose", _no_gain),
    "write gain left out": ("gemma2", "plt relu", TranscoderEncoding, "gain", _no_write_gain),
    "skip left out": ("llama", "plt topk skip", TranscoderEncoding, "skip", _no_skip),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_formula_is_noticed(name, tmp_path, monkeypatch):
    """By the rows, or where the error takes up the difference (what a feature writes) by the direct check."""
    family, kind, owner, attribute, wrong = BROKEN[name]
    model = made(family, kind, tmp_path)
    sound = model.trace(PROMPT, max_nodes=None)
    assert sound.row_error < 1e-4
    monkeypatch.setattr(owner, attribute, wrong)
    broken = model.trace(PROMPT, max_nodes=None)
    n = sound.layout.n_features
    moved = abs(broken.adjacency[:, :n] - sound.adjacency[:, :n]).max() / abs(sound.adjacency).max()
    assert broken.row_error > 1e-3 or moved > 1e-2


def test_bf16_weights_are_raised_layer_by_layer(tmp_path):
    model = FAMILIES["gemma2"]().to(torch.bfloat16)
    for kind in KINDS:
        files = transcoders(tmp_path / kind.replace(" ", "_"), model, **KINDS[kind])
        graph = with_transcoders(model, files).trace(PROMPT, max_nodes=None)
        assert graph.row_error < 1e-4
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert helpers.replacement(model).trace(PROMPT, max_nodes=60).row_error < 1e-4


def test_a_set_of_another_model_is_refused_naming_both(tmp_path):
    model, other = FAMILIES["llama"](), helpers.tiny_llama(n_layers=2)
    with pytest.raises(TracerError, match=r"trained on tiny.* has layers 2, the model has 3"):
        with_transcoders(model, transcoders(tmp_path / "set", other))


def test_what_a_feature_says_is_its_write_vector(tmp_path):
    model = made("llama", "clt relu", tmp_path)
    raised, _ = model.says(1, 3, n=3)
    rows = model.basis.files.decoder_rows(1, torch.tensor([3]))[0]
    direction = rows.sum(0).to(model.device) * model.anatomy.norm_weight(model.anatomy.final_norm)
    weight = model.anatomy.unembed.weight
    effect = weight @ direction - (weight @ direction).mean()
    assert [v for _, v in raised] == pytest.approx(effect.topk(3).values.tolist(), abs=1e-5)


def test_models_of_the_same_weights_take_turns(tmp_path):
    """A page may still hold the one with neurons while the worker checks the one with transcoders."""
    neurons = helpers.replacement(FAMILIES["llama"]())
    files = transcoders(tmp_path / "set", neurons.anatomy.model)
    second = ReplacementModel(neurons.anatomy, transcoder_basis(neurons.anatomy, files), neurons.tokenizer, "b", "0")
    ids = neurons.token_ids(PROMPT)
    with neurons.anatomy.lock:
        waiting = threading.Thread(target=second.record, args=(ids,))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()


def test_too_much_for_the_memory_is_refused(tmp_path, monkeypatch):
    model = made("llama", "plt relu", tmp_path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(TracerError, match="smaller number, or shorten the prompt"):
        model.trace(PROMPT)

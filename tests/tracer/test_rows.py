"""A row sums to its target, on every family, and the check can tell when it does not."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers import DEVICE, FAMILIES, PROMPT, REPEATED, replacement, tiny_gemma3, tiny_llama
from tracer import Difference
from tracer.attribution import frozen, group
from tracer.attribution.sweep import Sweep
from tracer.features.neurons import NeuronEncoding
from tracer.graph.layout import Layout

TOLERANCE = 1e-4  # of a row's absolute mass, in float32
LIGHT = 1e-3  # of the median mass: lighter rows are one source that cancels within itself, down to rounding


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bos", [True, False], ids=["position 0 excluded", "position 0 counts"])
@pytest.mark.parametrize("max_nodes", [None, 60])
def test_rows_sum_to_their_targets(family, bos, max_nodes):
    model = replacement(FAMILIES[family]())
    ids = model.token_ids(PROMPT)
    graph = model.trace(tokens=ids if bos else ids[1:], max_nodes=max_nodes)
    assert graph.meta["excluded"] == ([0] if bos else [])
    assert graph.layout.n_features == (60 if max_nodes else graph.meta["n_active"])
    mass = graph.mass[graph.layout.has_row]
    errors, light = graph.row_errors[graph.layout.has_row], mass < LIGHT * np.median(mass)
    assert errors[~light].max() < TOLERANCE
    assert light.mean() < 0.01 and (errors * mass)[light].max(initial=0) < TOLERANCE * LIGHT * np.median(mass)


def test_values_are_activations_and_demeaned_logits():
    model = replacement(tiny_gemma3())
    ids = model.token_ids(PROMPT)
    graph = model.trace(tokens=ids, max_nodes=40)
    logits = model.anatomy.model(torch.tensor([ids], device=DEVICE)).logits[0, -1].detach()
    for target in graph.targets:
        assert target.value == pytest.approx(float(logits[target.id] - logits.mean()), abs=1e-5)
    held = {}
    handles = [
        layer.mlp.down_proj.register_forward_hook(lambda _m, i, _o, at=at: held.__setitem__(at, i[0][0]))
        for at, layer in enumerate(model.anatomy.layers)
    ]
    model.anatomy.model(torch.tensor([ids], device=DEVICE))
    for handle in handles:
        handle.remove()
    layout = graph.layout
    real = [float(held[a][b, c]) for a, b, c in zip(layout.layer, layout.position, layout.feature, strict=True)]
    assert graph.activation == pytest.approx(real, abs=1e-5)


def _no_scale(self, gradient, first, fresh=0, transpose=frozen.FrozenAttention.transpose):
    self.mix = self.mix / self.mix.sum((2, 3), keepdim=True)
    return transpose(self, gradient, first, fresh)


def _wrong_pattern(self, gradient, first, fresh=0, transpose=frozen.FrozenAttention.transpose):
    self.mix = self.mix.flip(0)
    return transpose(self, gradient, first, fresh)


def _wrong_sign(self, gradient, first, fresh=0, transpose=frozen.FrozenAttention.transpose):
    before = gradient.clone()
    at_first = transpose(self, gradient, first, fresh)
    gradient.copy_(2 * before - gradient)
    return at_first


@pytest.mark.parametrize("broken", [_no_scale, _wrong_pattern, _wrong_sign])
def test_a_broken_replay_is_noticed(broken, monkeypatch):
    model = replacement(tiny_llama())
    monkeypatch.setattr(frozen.FrozenAttention, "transpose", broken)
    assert model.trace(PROMPT, max_nodes=60).row_error > 1e-3


def test_a_whole_instead_of_a_half_of_the_gated_product_is_noticed(monkeypatch):
    model = replacement(tiny_llama())

    def doubled(self, layer, position, feature, read=NeuronEncoding.read):
        vector, own = read(self, layer, position, feature)
        return 2 * vector, own

    monkeypatch.setattr(NeuronEncoding, "read", doubled)
    assert model.trace(PROMPT, max_nodes=60).row_error > 1e-3


def test_a_row_that_is_no_number_is_noticed():
    model = replacement(tiny_llama())
    graph = model.trace(PROMPT, max_nodes=20)
    graph.adjacency.data[3] = float("nan")
    assert not graph.row_error < TOLERANCE


def test_lost_first_position_is_noticed(monkeypatch):
    """The streams of position 0 carry real mass: without them rows don't add up."""
    model = replacement(tiny_llama())
    original = frozen.FrozenAttention.transpose
    monkeypatch.setattr(
        frozen.FrozenAttention,
        "transpose",
        lambda self, gradient, first, fresh=0: 0 * original(self, gradient, first, fresh),
    )
    assert model.trace(PROMPT, max_nodes=60).row_error > 1e-3


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES.keys())
@pytest.mark.parametrize("block", [1, 30])
def test_the_size_of_a_group_changes_nothing(make, block, monkeypatch):
    model = replacement(make())
    whole = model.trace(PROMPT, max_nodes=300)
    monkeypatch.setattr("tracer.attribution.sweep.vectors_at_once", lambda _anatomy, _device: block)
    pieces = model.trace(PROMPT, max_nodes=300)
    assert abs(whole.adjacency - pieces.adjacency).max() < 1e-6 * whole.mass.max()
    assert (whole.layout.feature == pieces.layout.feature).all()


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES.keys())
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frozen.FEW", 0),
        ("frozen.FEW", 10**9),
        ("sources.PADDING", -1.0),
        ("sources.PADDING", 1e9),
        ("sweep.KEPT", 13_000),
    ],
)
def test_the_shortcuts_of_the_sweep_change_nothing(make, name, value, monkeypatch):
    """Fresh targets apart or not, vectors padded or not, attention kept or, of upper layers, made again."""
    model = replacement(make())
    usual = model.trace(PROMPT, max_nodes=None)
    monkeypatch.setattr(f"tracer.attribution.{name}", value)
    other = model.trace(PROMPT, max_nodes=None)
    assert abs(usual.adjacency - other.adjacency).max() < 1e-6 * usual.mass.max()


def test_the_operations_that_are_claimed_are_those_that_are_done(monkeypatch):
    """Against torch's own count of the products in a sweep."""

    def one_by_one(work, pieces, _device, _progress):
        for piece in pieces:
            work(piece, lambda _amount: None)

    monkeypatch.setattr("tracer.attribution.sweep.side_by_side", one_by_one)
    for name, value in (
        ("frozen.FEW", 0),
        ("frozen.GPU_FEW", 0),
        ("sources.PADDING", -1.0),
        ("sources.GPU_PADDING", -1.0),
    ):
        monkeypatch.setattr(f"tracer.attribution.{name}", value)
    done = []

    def product(_to, a, b, **_more):  # the one that torch doesn't count in place
        return 2 * a[0] * a[1] * b[1]

    def counted(self, nodes, progress, rows=Sweep.rows):
        with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: product}) as counter:
            found = rows(self, nodes, progress)
        done.append(counter.get_total_flops())
        return found

    monkeypatch.setattr(Sweep, "rows", counted)
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=None)
    # bias columns and the streams of position 0 are not in the count
    assert graph.meta["sweep_operations"] == pytest.approx(done[0], rel=0.03), done


def test_one_token_prompt():
    model = replacement(tiny_llama())
    graph = model.trace(tokens=[0])
    assert graph.layout.n_features == 0
    assert graph.row_error < TOLERANCE


def test_difference_is_the_difference_of_two_rows():
    model = replacement(tiny_gemma3())
    both = model.trace(PROMPT, targets=[5, "w7"], max_nodes=None)
    ids = [model.token_id(5), model.token_id("w7")]
    difference = model.trace(PROMPT, targets=Difference(5, "w7"), max_nodes=None)
    a, b = (both.adjacency[both.layout.first_logit + k].toarray() for k in range(2))
    row = difference.adjacency[difference.layout.first_logit].toarray()
    n = both.layout.first_logit
    assert both.targets[0].weight == both.targets[1].weight == 0.5
    assert ids == [t.id for t in both.targets]
    assert abs(row[:n] - (a - b)[:n]).max() < 1e-5
    assert difference.targets[0].value == pytest.approx(both.targets[0].value - both.targets[1].value, abs=1e-5)


def test_a_position_is_the_prompt_cut_after_it():
    model = replacement(tiny_llama())
    ids = model.token_ids(PROMPT)
    cut = model.trace(tokens=ids[:5], max_nodes=50)
    for position in (4, 4 - len(ids)):
        at = model.trace(PROMPT, position=position, max_nodes=50)
        assert at.token_ids == ids[:5]
        assert abs(at.adjacency - cut.adjacency).max() <= REPEATED


def test_auto_targets_reach_the_mass():
    model = replacement(tiny_llama())
    graph = model.trace(PROMPT, max_logits=50, logit_mass=0.6, max_nodes=20)
    probabilities = [t.probability for t in graph.targets]
    assert sum(probabilities) >= 0.6 > sum(probabilities[:-1])
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(model.trace(PROMPT, max_logits=3, logit_mass=1.0, max_nodes=20).targets) == 3


def test_groups_are_not_tiny_however_long_the_prompt():
    """A group of one would cost as much as one of eight."""
    n_tokens = 3000
    features = np.arange(20)
    layout = Layout(np.zeros(20, int), np.full(20, n_tokens - 1), features, 1, n_tokens, 1)
    sizes = [len(targets) for _, targets in group.groups(layout, features, 1, 1000)]
    assert sizes == [8, 8, 4]

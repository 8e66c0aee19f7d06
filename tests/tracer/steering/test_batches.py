"""Many conditions side by side give what each gives alone, from the first changed layer and position on."""

from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
import torch
from safetensors.torch import save

from tests.helpers import FAMILIES, PROMPT
from tests.tracer.steering.models import EVERY, made
from tests.tracer.test_transcoders import KINDS
from tracer import GENERATED, Donor, Edit, Push, TracerError
from tracer.errors import Cancelled
from tracer.steering import protocols
from tracer.steering.baseline import Baseline
from tracer.steering.protocols import PROTOCOLS
from tracer.steering.run import Watched, run_many

LAYERS = {"constrained": (1, 3)}  # of the protocols that need any
CONDITIONS = [
    [Edit(1, -1, 7, value=6.0)],
    [Edit(2, 5, 11, value=-3.0), Edit(1, slice(6, None), 3, value=-2.0)],
    [Edit(1, 6, 9, plus=2.5)],
    [Edit(2, -1, 4, factor=1)],  # what is there
    [Edit(1, 6, 7, value=4.0), Push(2, 7, norm=3.0, seed=5)],
]
WATCH = [(0, 3, 5), (1, 7, 7), (2, 6, 3), (2, 8, 11), (2, 0, 4)]


def by_itself(model, edits, protocol, watch=()):
    """The run of one condition through the whole model, from layer 0 and the first token on."""
    everywhere = [Edit(0, 0, 0, factor=1), *edits]  # an edit that changes nothing, where nothing can be left out
    options = {"protocol": protocol, "layers": LAYERS.get(protocol), "watch": watch}
    return next(iter(list(model.steer_many(PROMPT, [everywhere], **options))))


def check(model, protocol, **options):
    together = list(
        model.steer_many(PROMPT, CONDITIONS, protocol=protocol, layers=LAYERS.get(protocol), watch=WATCH, **options)
    )
    assert len(together) == len(CONDITIONS)
    for steered, edits in zip(together, CONDITIONS, strict=True):
        alone = by_itself(model, edits, protocol, WATCH)
        torch.testing.assert_close(steered.raw_logits, alone.raw_logits, rtol=1e-4, atol=2e-5)
        torch.testing.assert_close(steered.watched, alone.watched, rtol=1e-4, atol=2e-5)
        torch.testing.assert_close(steered.watched_baseline, alone.watched_baseline, rtol=1e-4, atol=1e-5)
        assert [replace(e, before=0, value=0) for e in steered.edits] == [
            replace(e, before=0, value=0) for e in alone.edits if (e.layer, e.position, e.feature) != (0, 0, 0)
        ]
    return together


@pytest.mark.parametrize(("family", "basis"), EVERY[::5])  # every family and every basis, not all of their pairs
def test_side_by_side_is_one_by_one(family, basis):
    model = made(family, basis)
    for protocol in PROTOCOLS:
        together = check(model, protocol)
        moved = [float((s.raw_logits - s.raw_baseline).abs().max()) for s in together]
        assert moved[3] == 0 and torch.equal(together[3].logits, together[3].baseline)
        assert min(moved[:3] + moved[4:]) > 1e-3 and len({round(m, 5) for m in moved}) == len(moved)


def _whole_prompt(prefix):
    return lambda self, first, rows, lowest: prefix(self, max(first - 1, 0), rows, lowest)


def _unmixed(hold):
    return lambda hooks, layer, pattern, before: hold(hooks, layer, pattern, torch.zeros_like(before))


def _wrong_row(look):
    def wrong(self, hooks, live):
        look(self, hooks, range(live.stop - 1))  # the last layer is not looked at

    return wrong


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [(Baseline, "prefix", _whole_prompt), (protocols, "hold_pattern", _unmixed), (Watched, "look", _wrong_row)],
    ids=["keys before the first change", "values before it", "watched features"],
)
def test_a_mistake_in_what_is_shared_is_noticed(owner, name, wrong, monkeypatch):
    model = made("gemma3", "neurons")
    protocol = "free" if owner is Baseline else "clamp"
    plain = by_itself(model, CONDITIONS[0], protocol, WATCH)
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))
    first, *_ = model.steer_many(PROMPT, CONDITIONS, protocol=protocol, watch=WATCH)
    same = torch.allclose(first.raw_logits, plain.raw_logits, atol=1e-4)
    assert not (same and torch.allclose(first.watched, plain.watched, atol=1e-4))


def test_batches_are_as_large_as_memory_allows_and_come_one_after_another():
    model = made("llama", "plt relu")
    ids, heard = model.token_ids(PROMPT), []
    whole = list(model.steer_many(tokens=ids, conditions=CONDITIONS))
    parts = run_many(
        model.anatomy,
        model.basis,
        ids,
        [0],
        CONDITIONS,
        protocols.choose("clamp", None, 3),
        progress=lambda phase, f: heard.append((phase, round(f, 3))),
        batch_memory=1,
    )
    first = next(parts)
    assert ("steer", 0.2) in heard and ("steer", 0.4) not in heard, "the second batch waits until it is wanted"
    for one, other in zip([first, *parts], whole, strict=True):
        torch.testing.assert_close(one.raw_logits, other.raw_logits, rtol=1e-4, atol=1e-5)
    assert heard[-1] == ("steer", 1.0) and [f for p, f in heard if p == "baseline"] == [0.333, 0.667, 1.0]


def test_an_activation_is_taken_over_from_another_prompt():
    model = made("gemma2", "neurons")
    other = model.token_ids("w7 w21 w3 w9")
    own = float(model.activations(model.record(other), 1, 7)[2])
    (edit,) = model.steer(PROMPT, [Edit(1, -1, 7, factor=2, donor=Donor(tuple(other), -3))]).edits
    assert edit.value == pytest.approx(2 * own) and own != 0
    with pytest.raises(TracerError, match="position 5 is outside the other prompt, whose 5 tokens are 0 to 4"):
        model.steer(PROMPT, [Edit(1, -1, 7, factor=2, donor=Donor(tuple(other), 5))])
    with pytest.raises(TracerError, match="needs a factor"):
        Edit(1, -1, 7, value=2, donor=Donor(tuple(other), 1))


def test_a_ladder_sets_every_edited_feature_to_each_factor():
    model = made("gemma2", "neurons")
    other = tuple(model.token_ids("w7 w21 w3 w9"))
    edits = [
        Edit(1, -1, 7, value=6.0),
        Edit(2, slice(7, None), 4, plus=2.0),
        Edit(0, 5, 3, factor=1, donor=Donor(other, 2)),
    ]
    found = list(model.sweep(PROMPT, edits[:2], protocol="free"))
    assert [factor for factor, _ in found] == [-2, -1, 0, 0.5, 1, 2]
    for factor, steered in found:
        assert [e.value for e in steered.edits] == pytest.approx([factor * e.before for e in steered.edits])
        alone = model.steer(
            PROMPT, [Edit(1, -1, 7, factor=factor), Edit(2, slice(7, None), 4, factor=factor)], protocol="free"
        )
        torch.testing.assert_close(steered.raw_logits, alone.raw_logits, rtol=1e-4, atol=2e-5)
    assert [float(s.delta.abs().max()) == 0 for _, s in found] == [f == 1 for f, _ in found]
    own = float(model.activations(model.record(other), 0, 3)[2])
    values = [
        s.edits[0].value for _, s in model.sweep(tokens=model.token_ids(PROMPT), edits=edits[2:], factors=(0.5, 3))
    ]
    assert values == pytest.approx([0.5 * own, 3 * own]) and own != 0
    held = model.sweep(PROMPT, edits, (2, 3), protocol="constrained", layers=(1, 3))
    assert next(held)[1].layers == (1, 3)
    held.close()
    assert model.anatomy.lock.acquire(blocking=False), "closed before its end, it lets go of the model"
    model.anatomy.lock.release()
    for factors, says in (((), "at least one"), ((float("nan"),), "set a feature to nan"), ((1e30,), "within")):
        with pytest.raises(TracerError, match=says):
            list(model.sweep(PROMPT, edits, factors))


def test_edits_of_generated_tokens_leave_the_next_token_as_it_is():
    model = made("llama", "neurons")
    both, alone, none = model.steer_many(
        PROMPT,
        [
            [Edit(1, -1, 7, value=6.0), Edit(2, GENERATED, 7, value=9.0)],
            [Edit(1, -1, 7, value=6.0)],
            [Edit(2, slice(40, None), 7, value=9.0)],
        ],
        generating=True,
    )
    assert torch.equal(both.logits, alone.logits) and len(both.edits) == 1
    assert torch.equal(none.logits, none.baseline) and none.edits == []
    (by_itself,) = model.steer_many(PROMPT, [[Edit(2, GENERATED, 7, value=9.0)]], generating=True)
    torch.testing.assert_close(by_itself.logits, none.baseline, rtol=1e-4, atol=1e-5)


def test_plus_is_added_to_what_is_there():
    model = made("llama", "neurons")
    (edit,) = model.steer(PROMPT, [Edit(1, 4, 7, plus=2.5)]).edits
    assert edit.value == pytest.approx(edit.before + 2.5) and edit.before != 0


@torch.no_grad()
def test_a_push_has_its_length_and_its_seed():
    model = made("llama", "neurons")
    layer, seen = model.anatomy.layers[1], []

    def run(seed):
        handle = layer.module.register_forward_hook(lambda _m, _i, o: seen.append(o[0]))
        (steered,) = model.steer_many(PROMPT, [[Push(1, 4, norm=2.0, seed=seed)]])
        handle.remove()
        return steered, seen[-1][0] - seen[-2][4]  # the run with edits begins at position 4

    one, moved = run(1)
    assert float(moved.norm()) == pytest.approx(2.0, rel=1e-4) and one.edits == []
    assert torch.equal(run(1)[0].logits, one.logits) and not torch.equal(run(2)[0].logits, one.logits)
    with pytest.raises(TracerError, match="outside the model or prompt"):
        list(model.steer_many(PROMPT, [[Push(1, 9, norm=2.0, seed=1)]]))
    for norm in (float("nan"), 1e30, -1.0):
        with pytest.raises(TracerError, match="can't be made"):
            Push(1, 4, norm=norm, seed=1)
    with pytest.raises(TracerError, match="no edit writes"):
        list(model.steer_many(PROMPT, [[Push(0, 4, 1.0, seed=1)]], protocol="constrained", layers=(1, 2)))


@pytest.mark.parametrize("family", FAMILIES)
def test_after_a_stop_or_a_refusal_the_model_is_as_it_was(family):
    model = made(family, "neurons")
    plain = model.record(model.token_ids(PROMPT)).logits

    for where in ("baseline", "steer"):

        def stop(phase, fraction, where=where):
            if phase == where and fraction > 0.4:
                raise Cancelled

        with pytest.raises(Cancelled):
            list(model.steer_many(PROMPT, CONDITIONS, progress=stop))
    with pytest.raises(TracerError, match="no edit writes within layers 0 to 0"):
        list(model.steer_many(PROMPT, CONDITIONS, protocol="constrained", layers=(0, 1)))
    half, text = model.steer_many(PROMPT, CONDITIONS), model.generate(PROMPT, CONDITIONS)
    next(half), next(text)  # the model is free while they wait
    model.next_tokens(model.token_ids(PROMPT))
    half.close()
    assert torch.equal(model.record(model.token_ids(PROMPT)).logits, plain)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.anatomy.model.modules())
    inner, family = model.anatomy.model, model.anatomy.family
    assert [*attrgetter(family.layers)(inner)] == [layer.module for layer in model.anatomy.layers]
    assert attrgetter(family.unembed)(inner) is model.anatomy.unembed
    assert model.anatomy.lock.acquire(blocking=False)
    model.anatomy.lock.release()


@pytest.mark.parametrize("basis", KINDS)
def test_watched_features_under_direct_are_what_the_graph_predicts(basis):
    """DESIGN §4: of a transcoder the change of the pre-activation is its row's edge; of those that stay active."""
    model = made("llama", basis)
    graph = model.trace(PROMPT, max_nodes=None, max_logits=2)
    layout = graph.layout
    s = next(i for i in range(layout.n_features) if layout.layer[i] == 0 and graph.outputs(i)[0].size > 6)
    targets = [t for t in graph.outputs(s)[0].tolist() if t < layout.n_features][:12]
    places = [(int(layout.layer[t]), int(layout.position[t]), int(layout.feature[t])) for t in targets]
    edit = Edit(int(layout.layer[s]), int(layout.position[s]), int(layout.feature[s]), factor=1.05)
    (run,) = model.steer_many(PROMPT, [[edit]], protocol="direct", watch=places)
    edges = 0.05 * graph.adjacency[targets][:, [s]].toarray()[:, 0]
    stay = (run.watched != 0).numpy()
    assert stay.sum() >= 3 and abs(edges[stay]).max() > 1e-4
    changed = (run.watched - run.watched_baseline).numpy()
    np.testing.assert_allclose(changed[stay], edges[stay], rtol=2e-2, atol=2e-5)


def test_places_that_are_watched_are_checked_and_counted_from_the_end():
    model = made("llama", "neurons")
    last, first = model.steer_many(PROMPT, [CONDITIONS[0]] * 2, watch=[(2, -1, 11), (2, 8, 11)])
    assert last.watched[0] == last.watched[1] != 0 and torch.equal(last.watched, first.watched)
    for place in ((3, 0, 0), (0, 9, 0), (0, 0, 48)):
        with pytest.raises(TracerError):
            list(model.steer_many(PROMPT, [CONDITIONS[0]], watch=[place]))


def test_results_can_be_saved_and_kept_by_themselves():
    model = made("llama", "neurons")  # without a softcap two of the logits are one tensor
    for steered in model.steer_many(PROMPT, CONDITIONS):
        save(steered.tensors())
        assert steered.logits.untyped_storage().nbytes() == 4 * model.vocab_size


def test_below_and_before_the_edits_nothing_runs_again():
    model = made("llama", "neurons")
    ran = []
    handles = [
        layer.module.register_forward_hook(lambda _m, i, _o, at=at: ran.append((at, *i[0].shape[:2])))
        for at, layer in enumerate(model.anatomy.layers)
    ]
    list(model.steer_many(PROMPT, [[Edit(1, -2, 7, value=3.0)], [Edit(2, -1, 7, value=3.0)]]))
    for handle in handles:
        handle.remove()
    assert ran == [(0, 1, 9), (1, 1, 9), (2, 1, 9), (1, 2, 2), (2, 2, 2)]

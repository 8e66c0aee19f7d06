"""Controls are matched in what they keep, none is of the circuit, and each set is the same on all prompts."""

import numpy as np
import pytest
import torch

from tests.helpers import PROMPT
from tests.tracer.steering.models import active, made
from tracer import GENERATED, Edit, Push, TracerError
from tracer.steering import controls
from tracer.steering.controls import KINDS, matched, share

OTHER = " ".join(f"w{i}" for i in (7, 21, 3, 9, 50, 2, 11, 30))


def sizes(model, ids, edits):
    record, found = model.record(ids), []
    for e in edits:
        own = float(model.activations(record, e.layer, e.feature)[e.position])
        found.append(abs(own) * float(model.basis.write_vectors(e.layer, torch.tensor([e.feature])).norm()))
    return np.array(found)


def changes(model, ids, edits):
    """(n,): the length of what each edit writes."""
    (steered,) = model.steer_many(tokens=ids, conditions=[edits])
    norms = [model.basis.write_vectors(e.layer, torch.tensor([e.feature])).norm() for e in steered.edits]
    return np.array([abs(e.value - e.before) * float(norm) for e, norm in zip(steered.edits, norms, strict=True)])


@pytest.mark.parametrize("basis", ["neurons", "plt relu", "clt relu"])
def test_features_of_the_same_layer_position_and_size(basis, monkeypatch):
    monkeypatch.setattr(controls, "_n_candidates", lambda n, n_features: 6)
    model = made("gemma2", basis)
    prompts = [model.token_ids(PROMPT), model.token_ids(OTHER)]
    circuit = _active_on_both(model, prompts, 3)
    edits = [Edit(*place, factor=-1) for place in circuit]
    found = matched(model, prompts, edits, "features", n=12, seed=7)
    assert [c.seed for c in found.sets] == list(range(7, 7 + len(found.sets))) or found.short
    assert len(found.sets) >= 4
    own = [sizes(model, ids, edits) for ids in prompts]
    written = [changes(model, ids, edits) for ids in prompts]
    for control in found.sets:
        first, second = control.prompts
        assert [(e.layer, e.position, e.feature) for e in first] == [(e.layer, e.position, e.feature) for e in second]
        assert [(e.layer, e.position) for e in first] == [(layer, position) for layer, position, _ in circuit]
        assert not {(e.layer, e.feature) for e in first} & {(layer, f) for layer, _, f in circuit}
        assert len({(e.layer, e.feature) for e in first}) == len(first)
        logs = [np.log(sizes(model, ids, mine) / o) for ids, mine, o in zip(prompts, control.prompts, own, strict=True)]
        mean = np.mean(logs, axis=0)
        assert control.ratio == pytest.approx(float(np.exp(mean.mean())), rel=1e-3)
        assert abs(np.log(control.worst)) == pytest.approx(float(np.abs(mean).max()), rel=1e-3, abs=1e-4)
        for ids, mine, o in zip(prompts, control.prompts, written, strict=True):
            assert changes(model, ids, mine) == pytest.approx(o, rel=1e-3)
    for which, (layer, position, feature) in enumerate(circuit):
        gaps = {}
        for ids in prompts:
            features = model.basis.encode(model.record(ids), [0]).active()
            here = features[features.span(layer)]
            here = here.feature[here.position == position].tolist()
            log = np.log(sizes(model, ids, [Edit(layer, position, f, factor=1) for f in here]))
            log = log - np.log(sizes(model, ids, [Edit(layer, position, feature, factor=1)]))
            for f, gap in zip(here, np.abs(log), strict=True):
                gaps.setdefault(f, []).append(gap)
        both = {
            f: np.mean(g)
            for f, g in gaps.items()
            if len(g) == 2 and f not in {f for at, _, f in circuit if at == layer}
        }
        nearest = set(sorted(both, key=both.get)[:6])
        assert {c.prompts[0][which].feature for c in found.sets} <= nearest
    again = matched(model, prompts, edits, "features", n=12, seed=7)
    assert again == found
    assert matched(model, prompts, edits, "features", n=12, seed=8).sets != found.sets


def _active_on_both(model, prompts, n):
    sets = []
    for ids in prompts:
        features = model.basis.encode(model.record(ids), [0]).active()
        where = zip(features.layer.tolist(), features.position.tolist(), features.feature.tolist(), strict=True)
        sets.append(set(where))
    both = sorted(sets[0] & sets[1])
    return both[2 :: len(both) // n][:n]


@pytest.mark.parametrize("kind", ["features", "positions", "directions", "influence"])
def test_a_value_is_answered_by_writes_of_the_same_length(kind):
    model = made("llama", "neurons")
    ids = model.token_ids(PROMPT)
    graph = model.trace(tokens=ids, max_nodes=None)
    edits = [Edit(*place, value=3.0) for place in active(model)[:2]]
    own = changes(model, ids, edits)
    found = matched(model, [ids], edits, kind, n=4, graph=graph)
    for control in found.sets:
        (mine,) = control.prompts
        if kind == "directions":
            assert [p.norm for p in mine] == pytest.approx(own.tolist(), rel=1e-4)
            assert all(isinstance(p, Push) for p in mine)
        else:
            assert sorted(changes(model, ids, mine)) == pytest.approx(sorted(own), rel=1e-3)
        assert control.ratio == pytest.approx(1) or kind in ("features", "influence")


def test_directions_of_a_cross_layer_feature_have_its_length_at_each_layer():
    model = made("llama", "clt relu")
    ids = model.token_ids(PROMPT)
    (place,) = [p for p in active(model) if p[0] == 0][:1]
    found = matched(model, [ids], [Edit(*place, factor=0)], "directions", n=2)
    own = abs(float(model.activations(model.record(ids), 0, place[2])[place[1]]))
    norms = own * model.basis.write_vectors(0, torch.tensor([place[2]]))[0].norm(dim=1)
    assert [p.layer for p in found.sets[0].prompts[0]] == [0, 1, 2]
    assert [p.norm for p in found.sets[0].prompts[0]] == pytest.approx(norms.tolist(), rel=1e-4)


def test_other_positions_move_the_whole_set_and_say_how_many_there_are():
    model = made("llama", "neurons")
    ids = model.token_ids(PROMPT)  # 9 tokens; the first is <bos>
    edits = [Edit(1, 3, 7, factor=-1), Edit(2, 5, 4, factor=-1)]
    found = matched(model, [ids], edits, "positions", n=50)
    assert not {
        c.prompts[0][0].position for c in matched(model, [ids], [Edit(1, 2, 7, factor=-1)], "positions").sets
    } & {
        0,
        2,
    }
    shifts = {(c.prompts[0][0].position - 3, c.prompts[0][1].position - 5) for c in found.sets}
    assert shifts == {(s, s) for s in (-2, -1, 1, 2, 3)}
    assert found.short.startswith("only 5 of 50 controls could be matched")


def test_nodes_of_the_same_influence():
    model = made("llama", "neurons")
    ids = model.token_ids(PROMPT)
    graph = model.trace(tokens=ids, max_nodes=None)
    nodes = graph.nodes.nlargest(12, "influence")
    node = nodes[nodes.kind == "feature"].iloc[2]
    edit = Edit(int(node.layer), int(node.position), int(node.feature), factor=-1)
    for control in matched(model, [ids], [edit], "influence", n=5, graph=graph).sets:
        (other,) = control.prompts[0]
        name = f"{other.layer}_{other.feature}_{other.position}"
        ratio = graph.influence[graph.index[name]] / node.influence
        assert name != node.id and control.ratio == pytest.approx(ratio)
    with pytest.raises(TracerError, match="need one prompt and its graph"):
        matched(model, [ids], [edit], "influence", n=5)


@pytest.mark.parametrize(
    ("edits", "options", "says"),
    [
        ([Edit(1, 3, 7, factor=1)], {}, "change nothing"),
        ([Edit(1, GENERATED, 7, value=1.0)], {}, "change nothing of the prompt"),
        ([], {}, "there is no edit"),
        ([Edit(1, 3, 7, factor=-1)], {"kind": "luck"}, "there are features, directions"),
        ([Edit(1, 3, 7, factor=-1)], {"n": 0}, "at least 1"),
        ([Edit(1, slice(None), 7, value=1.0)], {"kind": "positions"}, "fit no other tokens"),
    ],
)
def test_what_cannot_be_matched_is_one_line(edits, options, says):
    model = made("llama", "neurons")
    with pytest.raises(TracerError, match=says) as caught:
        matched(model, [model.token_ids(PROMPT)], edits, **options)
    assert "\n" not in str(caught.value)


def test_few_candidates_say_how_many_sets_there_could_be(monkeypatch):
    model = made("llama", "plt relu")
    ids = model.token_ids(PROMPT)
    place = active(model)[2]
    monkeypatch.setattr(controls, "_n_candidates", lambda n, n_features: 3)
    found = matched(model, [ids], [Edit(*place, factor=-1)], n=60)
    assert len(found.sets) == 3 and "only 3 of 60" in found.short
    layer, position, _ = place
    every = [Edit(layer, position, f, value=1.0) for f in range(model.basis.n_features)]
    with pytest.raises(
        TracerError, match=f"0 controls could be matched for layer {layer}, feature 0: no other feature"
    ):
        matched(model, [ids], every, n=60)


def test_prompts_of_other_lengths_are_matched_feature_by_feature():
    """Places counted from both ends change their order from one prompt to the next."""
    model = made("llama", "neurons")
    prompts = [model.token_ids(PROMPT), model.token_ids("w7 w21 w3 w9 w50")]  # 9 and 6 tokens
    edits = [Edit(1, 3, 7, factor=-1), Edit(1, -4, 20, factor=-1)]
    for control in matched(model, prompts, edits, n=5).sets:
        stand_in = {}
        for ids, mine in zip(prompts, control.prompts, strict=True):
            places = {3: 7, len(ids) - 4: 20}
            for e in mine:
                assert stand_in.setdefault(places[e.position], e.feature) == e.feature
    with pytest.raises(TracerError, match="different numbers of tokens"):
        matched(model, prompts, [Edit(1, slice(3, None), 7, factor=-1)], n=5)


@pytest.mark.parametrize("kind", ["features", "directions", "positions", "sign"])
def test_edits_at_places_of_their_own_on_each_prompt(kind):
    """As one list with places counted from the end, which are the same there."""
    model = made("llama", "neurons")
    prompts = [model.token_ids(PROMPT), model.token_ids("w7 w21 w3 w9 w50")]  # 9 and 6 tokens
    each = [[Edit(1, 6, 7, factor=-1)], [Edit(1, 3, 7, factor=-1)]]
    assert matched(model, prompts, each, kind, n=3) == matched(model, prompts, [Edit(1, -3, 7, factor=-1)], kind, n=3)
    assert matched(model, prompts, [each[0], [Edit(1, 2, 7, value=3.0)]], kind, n=1).sets[0].prompts[1]


def test_what_is_to_be_avoided_and_the_layers_of_the_protocol():
    model = made("llama", "clt relu")
    ids = model.token_ids(PROMPT)
    place = next(p for p in active(model) if p[0] == 0)
    edits = [Edit(*place, factor=-1)]
    free = {c.prompts[0][0].feature for c in matched(model, [ids], edits, n=8).sets}
    avoid = {(0, f) for f in list(free)[:3]}
    found = matched(model, [ids], edits, n=8, avoid=avoid)
    assert not {(0, c.prompts[0][0].feature) for c in found.sets} & avoid
    held = matched(model, [ids], edits, n=4, protocol="constrained", layers=(1, 2))
    runs = model.steer_many(
        tokens=ids,
        conditions=[edits, *(c.prompts[0] for c in held.sets)],
        protocol="constrained",
        layers=(1, 2),
    )
    lengths = [
        abs(e.value - e.before) * float(model.basis.write_vectors(0, torch.tensor([e.feature]))[0, 1].norm())
        for run in runs
        for e in run.edits
    ]
    assert lengths == pytest.approx([lengths[0]] * len(lengths), rel=1e-3)
    pushes = matched(model, [ids], edits, "directions", n=2, protocol="constrained", layers=(1, 2)).sets[0].prompts[0]
    assert [p.layer for p in pushes] == [1] and pushes[0].norm == pytest.approx(lengths[0], rel=1e-3)


def test_a_range_with_the_first_token_has_controls_and_a_dead_end_is_tried_again():
    for basis in ("neurons", "plt relu"):
        model = made("llama", basis)
        found = matched(model, [model.token_ids(PROMPT)], [Edit(1, slice(None), 7, value=2.0)], n=4)
        assert len(found.sets) == 4 and len(found.sets[0].prompts[0]) == 9
    model = made("llama", "neurons")
    with pytest.raises(TracerError, match="change nothing of the prompt"):
        matched(model, [model.token_ids(PROMPT)], [Edit(1, GENERATED, 7, value=2.0)])
    with pytest.raises(TracerError, match="on 0 prompts"):
        matched(model, [], [Edit(1, 3, 7, value=2.0)])


def test_two_features_that_share_a_candidate_still_get_a_set(monkeypatch):
    model = made("llama", "neurons")
    options = {7: [3, 4], 20: [3]}
    monkeypatch.setattr(controls, "candidates", lambda _runs, which, *_: (options[which[1]], [1.0] * 2))
    edits = [Edit(1, 3, 7, factor=-1), Edit(1, 3, 20, factor=-1)]
    found = matched(model, [model.token_ids(PROMPT)], edits, n=5)
    assert {tuple(e.feature for e in c.prompts[0]) for c in found.sets} == {(4, 3)} and found.short


def test_every_kind_is_explained():
    assert set(KINDS) == set(controls._DRAWS)


@pytest.mark.parametrize(
    ("effect", "others", "k"),
    [(-2.0, [-3, -2, -1, 0, 3], 2), (2.0, [-3, -2, -1, 0, 3], 1), (0.0, [-1, 0, 1], 3), (1.0, [], 0)],
)
def test_share_counts_what_goes_as_far_in_the_same_direction(effect, others, k):
    assert share(effect, others) == (k, (1 + k) / (len(others) + 1))


def test_the_other_way_is_one_set_of_the_same_length():
    model = made("llama", "neurons")
    ids = model.token_ids(PROMPT)
    edits = [Edit(1, 3, 7, factor=-1), Edit(2, 5, 4, value=3.0)]
    found = matched(model, [ids], edits, "sign", n=20)
    (control,) = found.sets
    assert control.ratio == 1 and "only 1 of 20 controls could be matched: there is one other way" in found.short
    assert matched(model, [ids], edits, "sign", n=1).short is None
    mine, other = model.steer_many(tokens=ids, conditions=[edits, control.prompts[0]])
    for a, b in zip(mine.edits, other.edits, strict=True):
        assert (a.layer, a.position, a.feature) == (b.layer, b.position, b.feature)
        assert b.value - b.before == pytest.approx(-(a.value - a.before), rel=1e-4) and a.value != a.before


@pytest.mark.parametrize("basis", ["plt topk skip", "plt relu"])
def test_the_encoder_passes_by_once_for_all_controls(basis, monkeypatch):
    model = made("llama", basis)
    ids = model.token_ids(PROMPT)
    edit = Edit(*active(model)[2], factor=-1)
    blocks, rows = [], []
    files = model.basis.files
    own_blocks, own_rows = type(files).encoder_blocks, type(files).encoder_rows
    monkeypatch.setattr(type(files), "encoder_blocks", lambda *a, **k: (blocks.append(a[1]), own_blocks(*a, **k))[1])
    monkeypatch.setattr(type(files), "encoder_rows", lambda *a, **k: (rows.append(a[1]), own_rows(*a, **k))[1])
    found = matched(model, [ids], [edit], n=3)
    assert len(found.sets) == 3
    assert sorted(blocks) == [0, 1, 2] and not rows, "each layer once, to see what is active"

"""The replication lists are whole, and rows are run and judged rightly: on a tiny random model with made-up rows."""

import copy
import json
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

import tracer
from tests.helpers import PROMPT, replacement, tiny_llama, transcoders, with_transcoders
from tracer import Difference, Edit, TracerError
from tracer.replacement import ReplacementModel
from tracer.replications import FOLDER, Replications, Result, chosen, names, read, replicate
from tracer.replications.judge import judge_sampled
from tracer.replications.rows import Sampled

PUBLISHED = {
    "gemma-2-2b": [f"G{i}" for i in range(1, 26)],
    "llama-3.2-1b": [f"L{i}" for i in range(1, 10)],
}
NEGATIVE = {"gemma-2-2b": ["G5", "G8", "G13", "G22"], "llama-3.2-1b": ["L3"]}
OTHER = " ".join(f"w{i}" for i in (12, 3, 50, 21, 8, 30, 14, 6))


@pytest.fixture(scope="module")
def model() -> ReplacementModel:
    return replacement(tiny_llama())


def listing(row: dict, **more: object) -> Replications:
    basis = {"id": "T1", "title": "t", "claim": "c"} | ({} if "not_run" in row else {"prompt": PROMPT})
    head = {"model": "tiny", "features": "neurons", "source": "made up", "tolerance": {"probability": 0.001}}
    return Replications.model_validate_json(json.dumps(head | more | {"rows": [basis | row]}))


def judged(model: ReplacementModel, row: dict, **more: object) -> Result:
    made_up = listing(row, **more)
    return replicate(model, made_up, made_up.rows[0])


def steered(model: ReplacementModel, *edits: Edit, protocol: str = "clamp"):
    return model.steer(PROMPT, edits, protocol=protocol)


def probability(model: ReplacementModel, run, token: str) -> float:
    return float(run.probabilities[model.token_id(token)])


# The lists


@pytest.mark.parametrize("name", ["gemma-2-2b", "gemma-3-270m", "llama-3.2-1b"])
def test_lists_are_read_and_ids_are_unique(name: str) -> None:
    found = read(FOLDER / f"{name}.yaml")
    ids = [row.id for row in found.rows]
    assert found.model == name and len(set(ids)) == len(ids)
    assert name in names()


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_row_is_there(name: str) -> None:
    found = read(FOLDER / f"{name}.yaml")
    assert set(PUBLISHED[name]) <= {row.id for row in found.rows}
    assert [row.id for row in found.rows if row.negative] == NEGATIVE[name]
    assert found.tolerance.probability == 0.03


def test_own_list_has_ten_rows_and_three_negative_ones() -> None:
    rows = read(FOLDER / "gemma-3-270m.yaml").rows
    assert len(rows) >= 10 and sum(row.negative for row in rows) >= 3


def test_rows_are_chosen_by_id() -> None:
    found = read(FOLDER / "llama-3.2-1b.yaml")
    assert [row.id for row in chosen(found, ["L5", "L2"])] == ["L2", "L5"]
    assert len(chosen(found, [])) == 9
    with pytest.raises(TracerError, match="no row 'L10'; it has L1, L2"):
        chosen(found, ["L10"])


GOOD = {
    "model": "tiny",
    "features": "neurons",
    "source": "made up",
    "tolerance": {"probability": 0.01},
    "supernodes": {"one": ["1/2/3"]},
    "rows": [
        {
            "id": "T1",
            "title": "t",
            "claim": "c",
            "prompt": "w1",
            "interventions": [{"supernode": "one", "factor": -1}],
            "after": {"top": [["w2", 0.5], "w3"]},
        }
    ],
}


def spoiled(change) -> dict:
    data = copy.deepcopy(GOOD)
    change(data, data["rows"][0])
    return data


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d, r: d.pop("model"), "model: Field required"),
        (lambda d, r: d["rows"].append(dict(r)), "two rows are called T1"),
        (lambda d, r: d.update(rows=[]), "rows: "),
        (lambda d, r: d.update(supernodes={}), "there is no supernode 'one'"),
        (lambda d, r: r["after"].update(activity={"two": 0.5}), "there is no supernode 'two'"),
        (lambda d, r: d["supernodes"].update(one=["1/2"]), "'1/2' is not LAYER/POSITION/FEATURE"),
        (lambda d, r: d["supernodes"].update(one=[3]), "3 is not LAYER/POSITION/FEATURE"),
        (lambda d, r: r.pop("prompt"), "row T1 needs a prompt or tokens"),
        (lambda d, r: r.update(tokens=[1]), "row T1 needs a prompt or tokens"),
        (lambda d, r: r.pop("after"), "row T1 expects nothing"),
        (lambda d, r: r.pop("interventions"), "row T1 says what comes after, but has no interventions"),
        (lambda d, r: r.update(surprise=1), "surprise"),
        (lambda d, r: r["interventions"][0].update(value=1.0), "either a value or a factor"),
        (lambda d, r: r["interventions"][0].update(features=["1/2/3"]), "one of supernode, features and strongest"),
        (lambda d, r: r["interventions"][0].update(at="1:2:3"), "'1:2:3' is no position"),
        (lambda d, r: r["interventions"][0].update(factor=float("nan")), "interventions.0.factor"),
        (
            lambda d, r: r["interventions"].append({"supernode": "one", "value": 1.0, "elsewhere": {"prompt": "w1"}}),
            "activations elsewhere need a factor",
        ),
        (lambda d, r: r["after"].update(top=[["w2", 1.5]]), "rows.0.after.top.0"),
        (lambda d, r: d.update(homes={"two": "w1"}), "homes: there is no supernode 'two'"),
        (lambda d, r: r["after"].update(text=""), "rows.0.after.text"),
        (
            lambda d, r: r["after"].update(sampled={"n": 2, "temperature": 1, "begins": ["w1"], "at_least": 3}),
            "of 2 texts 3 can't begin so",
        ),
        (lambda d, r: r["after"].update(top=[True]), "rows.0.after.top.0"),
    ],
)
def test_bad_lists_are_refused_in_one_line(tmp_path: Path, change, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(spoiled(change)))
    with pytest.raises(TracerError) as caught:
        read(path)
    message = str(caught.value)
    assert says in message and message.startswith("bad.yaml is no replication list") and "\n" not in message


@pytest.mark.parametrize("text", ["rows: [", "a: &a [*b]", "\x00", "!!python/object:os.system {}"])
def test_what_is_no_yaml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(TracerError, match=r"can't read bad\.yaml") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(TracerError, match="can't read none"):
        read(tmp_path / "none.yaml")


# Judging


def test_a_baseline_is_judged_by_tokens_and_figures(model: ReplacementModel) -> None:
    (first, second) = model.next_tokens(model.token_ids(PROMPT), 2)
    right = [[first.token, round(first.probability, 4)], [second.token, round(second.probability, 4)]]
    result = judged(model, {"before": {"top": right}})
    assert (result.status, result.reason) == ("reproduced", None)
    assert [check.what.split("(")[0] for check in result.checks] == ["most likely before", "p", "p"]

    swapped = judged(model, {"before": {"top": [second.token, first.token]}})
    assert swapped.status == "differs"
    assert [(c.expected, c.measured, c.ok) for c in swapped.checks] == [
        (second.token, first.token, False),
        ([first.token], [first.token], True),
    ]
    off = judged(model, {"before": {"top": [[first.token, first.probability - 0.002]]}})
    assert off.status == "differs"
    assert [(c.ok, c.measured) for c in off.checks] == [(True, first.token), (False, first.probability)]
    wide = {"tolerance": {"probability": 0.003}}
    assert judged(model, {"before": {"top": [[first.token, first.probability - 0.002]]}} | wide).status == "reproduced"


def test_first_of_equal_figures_may_be_any(model: ReplacementModel) -> None:
    (first, second) = model.next_tokens(model.token_ids(PROMPT), 2)
    equal = [[second.token, 0.05], [first.token, 0.05]]
    assert judged(model, {"before": {"top": equal}, "tolerance": {"probability": 0.1}}).checks[0].ok


def test_a_token_out_of_the_ten_likeliest_is_missed(model: ReplacementModel) -> None:
    tokens = [t.token for t in model.next_tokens(model.token_ids(PROMPT), 61)]
    assert judged(model, {"before": {"top": [tokens[0], tokens[9]]}}).status == "reproduced"
    assert judged(model, {"before": {"top": [tokens[0], tokens[10]]}}).status == "differs"


EDIT = {"features": ["1/-1/7"], "factor": -3}


def test_an_edit_is_judged_both_ways(model: ReplacementModel) -> None:
    run = steered(model, Edit(1, -1, 7, factor=-3))
    token = model.token_text(int(run.logits.argmax()))
    p, delta = probability(model, run, token), float(run.delta[model.token_id(token)])
    baseline = float(run.baseline_probabilities[model.token_id(token)])
    moved = {"rises": [token]} if p > baseline else {"falls": [token]}
    stayed = {"falls": [token]} if p > baseline else {"rises": [token]}
    right = {"top": [[token, p]], "delta": {token: delta}, **moved}
    assert judged(model, {"interventions": [EDIT], "after": right}).status == "reproduced"
    for wrong in (
        {"top": [[token, p + 0.002]]},
        {"not_top": [token]},
        {"delta": {token: delta + 0.03}},
        stayed,
    ):
        result = judged(model, {"interventions": [EDIT], "after": wrong})
        assert result.status == "differs" and sum(not check.ok for check in result.checks) == 1
    assert judged(model, {"interventions": [EDIT], "after": {"delta": {token: delta + 0.01}}}).status == "reproduced"
    assert (
        judged(model, {"interventions": [EDIT], "after": {"not_top": ["w1" if token != "w1" else "w2"]}}).checks[0].ok
    )


@pytest.mark.parametrize("becomes", ["wider", "narrower"])
def test_gaps(model: ReplacementModel, becomes: str) -> None:
    run = steered(model, Edit(1, -1, 7, factor=-3))
    a, b = model.token_id("w3"), model.token_id("w4")
    wider = float(run.logits[a] - run.logits[b]) > float(run.baseline[a] - run.baseline[b])
    after = {"gaps": [{"of": ["w3", "w4"], "becomes": becomes}]}
    status = "reproduced" if wider == (becomes == "wider") else "differs"
    assert judged(model, {"interventions": [EDIT], "after": after}).status == status


def test_predictions_are_the_direct_effects(model: ReplacementModel) -> None:
    run = steered(model, Edit(1, -1, 7, factor=-3), protocol="direct")
    delta = float(run.delta[model.token_id("w3")])
    row = {"interventions": [EDIT], "protocol": "direct", "after": {"predicted": {"w3": delta}, "delta": {"w3": delta}}}
    assert judged(model, row).status == "reproduced"
    row["after"] = {"predicted": {"w3": delta + 0.05}}
    assert judged(model, row).status == "differs"


def test_protocols_differ(model: ReplacementModel) -> None:
    edit = {"features": ["0/4/7"], "value": 3.0}
    deltas = {}
    for protocol, layers in (("clamp", None), ("free", None), ("direct", None), ("constrained", [0, 2])):
        row = {"interventions": [edit], "protocol": protocol, "layers": layers, "after": {"delta": {"w3": 0.0}}}
        deltas[protocol] = judged(model, row).checks[0].measured
    assert len(set(deltas.values())) == 4


# Interventions


def same(model: ReplacementModel, interventions: list[dict], edits: list[Edit], **more: object) -> None:
    delta = steered(model, *edits).delta
    after = {"delta": {f"w{i}": float(delta[model.token_id(f"w{i}")]) for i in range(8)}}
    exact = {"probability": 0.001, "logit": 1e-5}
    result = judged(model, {"interventions": interventions, "after": after, "tolerance": exact}, **more)
    assert result.status == "reproduced", result


def test_supernodes_positions_and_values(model: ReplacementModel) -> None:
    supernodes = {"two": ["0/2/5", "1/3:5/7"]}
    edits = [Edit(0, 2, 5, factor=2), Edit(1, slice(3, 5), 7, factor=2)]
    same(model, [{"supernode": "two", "factor": 2}], edits, supernodes=supernodes)
    moved = [Edit(0, slice(6, None), 5, value=1.5), Edit(1, slice(6, None), 7, value=1.5)]
    same(model, [{"supernode": "two", "value": 1.5, "at": "6:"}], moved, supernodes=supernodes)


def test_activations_are_carried_from_another_prompt(model: ReplacementModel) -> None:
    own = model.activations(model.record(model.token_ids(OTHER)), 1, 7).tolist()
    elsewhere = {"prompt": OTHER}

    def edits(places, values) -> list[Edit]:
        return [Edit(1, p, 7, value=2 * v) for p, v in zip(places, values, strict=True)]

    same(model, [{"features": ["1/4/7"], "factor": 2, "elsewhere": elsewhere}], edits([4], [own[4]]))
    same(model, [{"features": ["1/3:5/7"], "factor": 2, "elsewhere": elsewhere}], edits([3, 4], own[3:5]))
    short = {"prompt": " ".join(OTHER.split()[:3])}  # four tokens
    one = {"features": ["1/3:5/7"], "factor": 2, "elsewhere": short}
    same(model, [one], edits([3, 4], [own[3], own[3]]))
    there = {"features": ["1/4/7"], "factor": 2, "elsewhere": elsewhere | {"position": 6}}
    same(model, [there], edits([4], [own[6]]))
    moved = {"features": ["1/6/7"], "factor": 2, "at": 4, "elsewhere": elsewhere}
    same(model, [moved], edits([4], [own[6]]))
    mean = {"features": ["1/3:5/7"], "factor": 2, "at": "6:", "elsewhere": elsewhere | {"mean": True}}
    same(model, [mean], edits([6, 7, 8], [sum(own[3:5]) / 2] * 3))


def test_strongest_features_of_a_difference(model: ReplacementModel) -> None:
    nodes = model.trace(PROMPT, targets=Difference("w3", "w4")).nodes
    top = nodes[nodes.kind == "feature"].nlargest(3, "influence")
    edits = [Edit(int(n.layer), int(n.position), int(n.feature), factor=0) for _, n in top.iterrows()]
    same(model, [{"strongest": {"n": 3, "a": "w3", "b": "w4"}, "factor": 0}], edits)


def test_transcoders_are_steered_alike(tmp_path: Path) -> None:
    model = with_transcoders(tiny_llama(), transcoders(tmp_path / "set", tiny_llama()))
    same(model, [{"features": ["1/4/7"], "value": 2}], [Edit(1, 4, 7, value=2)])


# Activations of supernodes, and texts


def by_hand(model: ReplacementModel, ids: list[int], value: float | None) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits (V,) of a plain pass, neuron 7 of layer 0 at `value` from position 4 on; activations (T, F) a layer."""
    seen: list[torch.Tensor] = []

    def look(layer: int, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        h = inputs[0].clone()
        if layer == 0 and value is not None:
            h[0, 4:, 7] = value
        seen.append(h[0])
        return (h,)

    handles = [
        layer.down_projection.register_forward_pre_hook(lambda _, inputs, at=at: look(at, inputs))
        for at, layer in enumerate(model.anatomy.layers)
    ]
    with torch.no_grad():
        logits = model.anatomy.model(torch.tensor([ids]), use_cache=False).logits[0, -1]
    for handle in handles:
        handle.remove()
    return logits, seen


ONWARD = {"interventions": [{"features": ["0/4:/7"], "value": 3.0}], "protocol": "free"}


def test_activity_is_the_mean_share_of_a_plain_pass(model: ReplacementModel) -> None:
    ids = model.token_ids(PROMPT)
    (_, before), (_, after) = by_hand(model, ids, None), by_hand(model, ids, 3.0)
    shares = [float(after[layer][p, f] / before[layer][p, f]) for layer, p, f in ((1, 6, 7), (2, 7, 11), (2, 8, 11))]
    share, supernodes = sum(shares) / 3, {"three": ["1/6/7", "2/-2:/11"]}
    assert abs(share - 1) > 0.1
    narrow = {"tolerance": {"probability": 0.001, "activity": 1e-4}}
    result = judged(model, ONWARD | narrow | {"after": {"activity": {"three": share}}}, supernodes=supernodes)
    assert result.status == "reproduced" and [c.measured for c in result.checks] == [pytest.approx(share, abs=1e-4)]
    off = ONWARD | {"after": {"activity": {"three": share + 0.06}}}
    assert judged(model, off, supernodes=supernodes).status == "differs"

    (_, home) = by_hand(model, model.token_ids(OTHER), None)
    whole = float(after[2][8, 11] / home[2][8, 11])
    there = {"supernodes": {"one": ["2/8/11"]}, "homes": {"one": OTHER}}
    row = ONWARD | narrow | {"after": {"activity": {"one": whole}}}
    assert judged(model, row, **there).status == "reproduced"
    assert judged(model, row, supernodes=there["supernodes"]).status == "differs"


def test_a_silent_supernode_has_no_share(tmp_path: Path) -> None:
    model = with_transcoders(tiny_llama(), transcoders(tmp_path / "set", tiny_llama()))
    record = model.record(model.token_ids(PROMPT))
    silent = next(f for f in range(40) if float(model.activations(record, 2, f)[8]) == 0)
    row = {"interventions": [{"features": ["0/4/7"], "value": 2}], "after": {"activity": {"one": 0.5}}}
    result = judged(model, row, supernodes={"one": [f"2/8/{silent}"]})
    assert result.status == "differs" and "is silent where it should be whole" in (result.reason or "")


def test_texts_are_those_of_plain_passes(model: ReplacementModel) -> None:
    texts = {}
    for value in (None, 3.0):
        ids = model.token_ids(PROMPT)
        start = len(ids)
        for _ in range(6):
            ids.append(int(by_hand(model, ids, value)[0].argmax()))
        texts[value] = model.continuation(ids[:start], ids[start:])
    assert texts[None] != texts[3.0]
    assert judged(model, {"before": {"text": texts[None]}}).status == "reproduced"
    both = ONWARD | {"before": {"text": texts[None]}, "after": {"text": texts[3.0]}}
    assert judged(model, both).status == "reproduced"
    wrong = judged(model, ONWARD | {"after": {"text": texts[None]}})
    assert wrong.status == "differs" and str(wrong.checks[0].measured).startswith(texts[3.0].strip())
    # a value carried from another prompt goes on over what is generated, too
    own = float(model.activations(model.record(model.token_ids(OTHER)), 0, 7)[4])
    carried = {"features": ["0/4/7"], "at": "4:", "factor": 3.0 / own, "elsewhere": {"prompt": OTHER}}
    row = {"interventions": [carried], "protocol": "free", "after": {"text": texts[3.0]}}
    assert judged(model, row).status == "reproduced"


def test_drawn_texts_are_counted_by_their_first_word(model: ReplacementModel) -> None:
    drawn = Sampled(n=4, temperature=1.0, begins=["is", ","], at_least=2)
    count = judge_sampled("after", drawn, [" is it", "issue", ", and", "", " was"])
    assert count.ok and count.measured == 2
    assert not judge_sampled("after", drawn, ["issue", " is"]).ok
    firsts = []
    for seed in range(12):
        token = next(model.generate(PROMPT, n_tokens=1, sampling=tracer.Sampling(1.0, seed=seed)))
        firsts.append(model.token_text(token.id).strip())
    word, n = Counter(firsts).most_common(1)[0]
    assert 0 < n < 12
    for at_least, status in ((n, "reproduced"), (n + 1, "differs")):
        sampled = {"n": 12, "temperature": 1.0, "begins": [word], "at_least": at_least}
        assert judged(model, {"before": {"sampled": sampled}}).status == status


# What can't be run


def test_what_needs_more_than_the_engine_has_is_not_run(model: ReplacementModel) -> None:
    result = judged(model, {"not_run": "needs a dance"})
    assert (result.status, result.reason, result.checks) == ("not run", "needs a dance", [])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"interventions": [{"features": ["9/4/7"], "factor": 0}], "after": {"falls": ["w1"]}}, "layer 9"),
        ({"interventions": [{"features": ["1/40/7"], "factor": 0}], "after": {"falls": ["w1"]}}, "position 40"),
        ({"before": {"top": ["two words"]}}, "'two words' is no single token of tiny"),
        (
            {
                "interventions": [{"features": ["1/2:4/7"], "factor": 1, "at": 4, "elsewhere": {"prompt": OTHER}}],
                "after": {"falls": ["w1"]},
            },
            "at 2 places can't be set at 1",
        ),
        (
            {
                "interventions": [{"features": ["1/7:9/7"], "factor": 1, "elsewhere": {"prompt": "w1 w2"}}],
                "after": {"falls": ["w1"]},
            },
            "at 0 places can't be set at 2",
        ),
    ],
)
def test_a_row_that_the_engine_refuses_differs(model: ReplacementModel, row: dict, says: str) -> None:
    result = judged(model, row)
    assert result.status == "differs" and says in (result.reason or "")


def test_no_prediction_without_a_node(model: ReplacementModel, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = model.trace
    monkeypatch.setattr(model, "trace", lambda **settings: trace(max_nodes=1, **settings))
    supernode = [f"1/4/{i}" for i in range(3)]
    row = {"interventions": [{"features": supernode, "factor": 0}], "after": {"predicted": {"w3": 0.0}}}
    result = judged(model, row)
    assert result.status == "differs" and "no node of the graph" in (result.reason or "")

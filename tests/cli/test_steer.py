"""`steer`: its JSON, and one line for everything that goes wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tracer
from cli import steer as cli_steer
from tests.cli.driver import Cli
from tests.helpers import PROMPT
from tracer import GENERATED, Edit
from tracer.steering.controls import matched

KEYS = [
    "prompt",
    "tokens",
    "token_ids",
    "model",
    "features",
    "protocol",
    "layers",
    "edits",
    "targets",
    "kl",
]
IDS = [0, 6, 11, 4, 35, 19, 7, 42, 10]


def steer(cli: Cli, *arguments: object) -> dict:
    return cli.json("steer", *arguments)


def test_figures_are_those_of_the_engine(cli: Cli, folder: Path) -> None:
    result = steer(cli, PROMPT, "--edit", "1,-1,7,x-2", "--edit", "0,2:4,5,1.5")
    model = tracer.load(str(folder))
    steered = model.steer(PROMPT, [Edit(1, -1, 7, factor=-2), Edit(0, slice(2, 4), 5, value=1.5)])
    assert list(result) == KEYS
    assert (result["prompt"], result["token_ids"], result["protocol"], result["layers"]) == (PROMPT, IDS, "clamp", None)
    assert (result["model"], result["features"]) == (str(folder), "neurons")
    assert [(e["layer"], e["position"], e["feature"]) for e in result["edits"]] == [(0, 2, 5), (0, 3, 5), (1, 8, 7)]
    assert result["edits"][0]["value"] == 1.5 and result["edits"][0]["writes"] == [0]
    assert result["edits"][2]["value"] == -2 * result["edits"][2]["before"] != 0
    assert result["kl"] == steered.kl > 0
    assert [t["id"] for t in result["targets"]] == steered.top()
    for target in result["targets"]:
        assert list(target) == ["token", "id", "probability_before", "probability_after", "delta_logit"]
        assert target["token"] == model.token_text(target["id"])
        assert target["probability_before"] == float(steered.baseline_probabilities[target["id"]])
        assert target["probability_after"] == float(steered.probabilities[target["id"]])
        assert target["delta_logit"] == float(steered.delta[target["id"]])


@pytest.mark.parametrize(
    ("position", "places"), [("2", [2]), ("-1", [8]), ("7:", [7, 8]), (":2", [0, 1]), ("3:5", [3, 4]), ("-2:", [7, 8])]
)
def test_positions(cli: Cli, position: str, places: list[int]) -> None:
    assert [e["position"] for e in steer(cli, PROMPT, "--edit", f"1,{position},7,2")["edits"]] == places


def test_protocols_and_layers(cli: Cli) -> None:
    edit = ("--edit", "0,4,7,3")
    results = [steer(cli, PROMPT, *edit, "--protocol", name) for name in ("clamp", "free", "direct")]
    results.append(steer(cli, PROMPT, *edit, "--protocol", "constrained", "--layers", "0,2"))
    assert [r["protocol"] for r in results] == ["clamp", "free", "direct", "constrained"]
    assert results[-1]["layers"] == [0, 2]
    assert len({r["kl"] for r in results}) == 4


def test_tokens_instead_of_a_prompt(cli: Cli) -> None:
    by_tokens = steer(cli, "--tokens", ",".join(map(str, IDS)), "--edit", "1,4,7,3")
    assert by_tokens == steer(cli, PROMPT, "--edit", "1,4,7,3")


def test_logits_file(cli: Cli, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    steer(cli, PROMPT, "--edit", "1,4,7,3", "--logits", path)
    steered = tracer.load(str(folder)).steer(PROMPT, [Edit(1, 4, 7, value=3.0)])
    saved = load_file(path)
    assert sorted(saved) == ["baseline", "logits", "raw_baseline", "raw_logits"]
    assert torch.equal(saved["logits"], steered.logits) and torch.equal(saved["baseline"], steered.baseline)


@pytest.mark.parametrize(
    ("value", "becomes"),
    [("2.5", lambda own: 2.5), ("+2.5", lambda own: own + 2.5), ("+-2.5", lambda own: own - 2.5),
     ("x-1", lambda own: -own), ("-2.5", lambda own: -2.5), ("x+2", lambda own: 2 * own)],
)  # fmt: skip
def test_values(cli: Cli, value: str, becomes: Callable[[float], float]) -> None:
    (edit,) = steer(cli, PROMPT, "--edit", f"1,4,7,{value}")["edits"]
    assert edit["value"] == pytest.approx(becomes(edit["before"])) and edit["before"] != 0


def test_text_with_edits_and_without(cli: Cli, folder: Path) -> None:
    edits = ("--edit", "1,-1,7,9", "--edit", "2,generated,11,+40", "--edit", "0,6:,3,x2", "--edit", "1,11:,5,2")
    result = steer(cli, PROMPT, *edits, "--generate", 5)
    assert list(result) == [*KEYS, "text_before", "text_after", "generation"]
    model = tracer.load(str(folder))
    conditions = [
        [],
        [
            Edit(1, -1, 7, value=9.0),
            Edit(2, GENERATED, 11, plus=40.0),
            Edit(0, slice(6, None), 3, factor=2),
            Edit(1, slice(11, None), 5, value=2.0),
        ],
    ]
    said: list[list[str]] = [[], []]
    for token in model.generate(PROMPT, conditions, n_tokens=5):
        said[token.condition].append(model.token_text(token.id))
    assert result["text_before"].split() == said[0] and result["text_after"].split() == said[1]
    assert said[0] != said[1] and said[0][0] == result["targets"][0]["token"]
    assert result["text_before"].startswith(" "), "as it goes on after the prompt"
    assert [(e["layer"], e["position"]) for e in result["edits"]] == [(0, 6), (0, 7), (0, 8), (1, 8)]
    assert result["generation"] == {
        "n_tokens": 5,
        "temperature": 0.0,
        "seed": 0,
        "edits": [
            {"layer": 2, "start": 9, "feature": 11, "factor": 1.0, "plus": 40.0},
            {"layer": 0, "start": 6, "feature": 3, "factor": 2.0, "plus": 0.0},
            {"layer": 1, "start": 11, "feature": 5, "factor": 0.0, "plus": 2.0},
        ],
    }
    text = cli.text("steer", PROMPT, *edits, "--generate", 5)
    assert f"text before  {result['text_before']!r}\ntext after   {result['text_after']!r}" in text
    assert "layer  2  feature     11  at generated tokens: its own +40" in text
    assert "layer  0  feature      3  at generated tokens: its own × 2" in text
    assert "layer  1  feature      5  at generated tokens after the first 2: → 2.00" in text


def test_edits_of_generated_tokens_alone(cli: Cli) -> None:
    result = steer(cli, PROMPT, "--edit", "2,generated,11,+40", "--generate", 4)
    assert result["edits"] == [] and result["kl"] == 0
    assert all(t["probability_before"] == t["probability_after"] for t in result["targets"])
    before, after = result["text_before"].split(), result["text_after"].split()
    assert before[0] == after[0] and before != after


def test_text_is_drawn_with_a_seed(cli: Cli) -> None:
    command = (PROMPT, "--edit", "1,-1,7,x1", "--generate", 6, "--temperature", 2)
    texts = [steer(cli, *command, "--seed", seed)["text_before"] for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]
    result = steer(cli, *command)
    assert result["generation"]["temperature"] == 2 and result["generation"]["seed"] == 0
    assert result["text_before"] == result["text_after"], "the edit asks for what is there"


def check_controls_know_the_protocol(cli: Cli, folder: Path) -> None:
    """Of two edits one writes outside the layers held: its controls would stand in for nothing."""
    command = ("--edit", "0,4,7,x-2", "--edit", "2,6,9,x-2", "--protocol", "constrained", "--layers", "0,2")
    found = steer(cli, PROMPT, *command, "--controls", 5, "--seed", 3)["controls"]
    edits = [Edit(0, 4, 7, factor=-2), Edit(2, 6, 9, factor=-2)]
    drawn = matched(tracer.load(str(folder)), [IDS], edits, n=5, seed=3, protocol="constrained", layers=(0, 2))
    assert [len(control.prompts[0]) for control in drawn.sets] == [1] * 5
    assert found["ratio"] == [control.ratio for control in drawn.sets]
    assert found["worst_ratio"] == [control.worst for control in drawn.sets]


def test_controls_know_the_protocol(cli: Cli, folder: Path) -> None:
    check_controls_know_the_protocol(cli, folder)


def test_controls_that_do_not_know_the_protocol_are_noticed(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_steer, "matched", lambda *a, protocol, layers, **named: matched(*a, **named))
    with pytest.raises(AssertionError):
        check_controls_know_the_protocol(cli, folder)


@pytest.mark.parametrize("kind", ["features", "directions", "positions"])
def test_controls_are_those_of_the_engine(cli: Cli, folder: Path, kind: str) -> None:
    command = ("--edit", "1,4,7,x-2", "--controls", 5, "--control-kind", kind, "--seed", 3, "--protocol", "free")
    result = steer(cli, PROMPT, *command)
    found = result["controls"]
    assert list(result) == [*KEYS, "controls"]
    assert list(found) == [
        "kind", "seed", "n", "target", "delta_logit", "ratio", "worst_ratio", "at_least_as_much", "share", "short"
    ]  # fmt: skip
    model = tracer.load(str(folder))
    edits = [Edit(1, 4, 7, factor=-2)]
    drawn = matched(model, [IDS], edits, kind, n=5, seed=3)
    conditions = [edits, *(control.prompts[0] for control in drawn.sets)]
    target = result["targets"][0]
    effect, *others = [float(s.delta[target["id"]]) for s in model.steer_many(PROMPT, conditions, protocol="free")]
    assert (found["kind"], found["seed"], found["n"], found["short"]) == (kind, 3, 5, None)
    assert found["target"] == {"token": target["token"], "id": target["id"], "delta_logit": target["delta_logit"]}
    assert found["target"]["delta_logit"] == pytest.approx(effect, abs=1e-6)
    assert found["delta_logit"] == pytest.approx(others, abs=1e-6) and len(set(others)) == 5
    assert found["ratio"] == [control.ratio for control in drawn.sets]
    assert found["at_least_as_much"] == sum(abs(o) >= abs(effect) and o * effect > 0 for o in others)
    assert found["share"] == (1 + found["at_least_as_much"]) / 6


def test_controls_in_the_report(cli: Cli) -> None:
    command = ("steer", PROMPT, "--edit", "1,4,7,x-2", "--controls", 9, "--control-kind", "positions", "--target", "w7")
    found = cli.json(*command)["controls"]
    text = cli.text(*command)
    assert found["target"]["token"] == "w7" and found["n"] == 7 == len(found["delta_logit"])
    assert found["short"].startswith("only 7 of 9 controls could be matched") and found["short"] in text
    mean = sum(found["delta_logit"]) / 7
    spread = (sum((d - mean) ** 2 for d in found["delta_logit"]) / 6) ** 0.5
    k = found["at_least_as_much"]
    assert f"change of the logit of 'w7'\n  by the edits     {found['target']['delta_logit']:+6.2f}\n" in text
    least, most = min(found["delta_logit"]), max(found["delta_logit"])
    assert f"by 7 controls  {mean:+6.2f} ± {spread:.2f}, least {least:+.2f}, most {most:+.2f}  (positions" in text
    assert f"{k} of 7; share (1 + {k}) / (7 + 1) = {(1 + k) / 8:.3f}" in text
    one = cli.text("steer", PROMPT, "--edit", "1,4,7,x-2", "--controls", 1)
    assert "by 1 control  " in one and "±" not in one


def test_the_other_way_is_one_control(cli: Cli) -> None:
    command = ("steer", PROMPT, "--edit", "1,4,7,x-2", "--controls", 9, "--control-kind", "sign")
    found = cli.json(*command)["controls"]
    assert found["n"] == 1 and found["short"] in cli.text(*command) and "one other way" in found["short"]


def test_report_for_people(cli: Cli) -> None:
    text = cli.text(
        "steer", PROMPT, "--edit", "1,4,7,3", "--edit", "2,4,7,3", "--protocol", "constrained", "--layers=0,2"
    )
    assert "constrained 0:2" in text and "→ 3.00" in text and "KL " in text
    assert text.count("writes nothing here") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["", "--edit", "1,4,7,3"], "prompt is empty"),
        ([PROMPT, "--edit", "3,4,7,3"], "layer 3 of an edit is not there; the model's 3 layers are 0 to 2"),
        ([PROMPT, "--edit", "1,9,7,3"], "position 9 of an edit is outside the prompt"),
        ([PROMPT, "--edit", "1,4:4,7,3"], "positions 4:4 hold no token"),
        ([PROMPT, "--edit", "1,4,48,3"], "feature 48 of an edit is not there"),
        ([PROMPT, "--edit", "1,4,7,3", "--protocol", "constrained", "--layers", "0,4"], "a < b ≤ 3"),
        ([PROMPT, "--edit", "1,4,7,3", "--protocol", "constrained", "--layers", "2,3"], "no edit writes within"),
        (["--tokens", "99", "--edit", "1,0,7,3"], "not in the vocabulary"),
        ([" ".join(["w1"] * 999), "--edit", "1,0,7,3"], "HYPOGRAPH_MAX_TOKENS"),
        ([PROMPT, "--edit", "1,4,7,3", "--logits", "no/such/folder/out.safetensors"], "choose another place"),
        ([PROMPT, "--edit", "1,4,7,3", "--model", "nonsense"], "there is no model 'nonsense'"),
        ([PROMPT, "--edit", "1,9:,7,3"], "position 9 of an edit is outside the prompt"),
        ([PROMPT, "--edit", "1,4,7,3", "--generate", "248"], "more than the model's window of 256"),
        ([PROMPT, "--edit", "1,4,7,3", "--generate", "4", "--temperature", "nan"], "temperature is nan"),
        ([PROMPT, "--edit", "1,4,7,3", "--generate", "4", "--temperature", "-1"], "give 0 to 10"),
        ([PROMPT, "--edit", "1,99,7,3", "--generate", "4"], "position 99 of an edit is outside the prompt"),
        ([PROMPT, "--edit", "1,4,7,x1", "--controls", "4"], "nothing to control for"),
        ([PROMPT, "--edit", "1,generated,7,3", "--generate", "4", "--controls", "4"], "nothing to control for"),
        ([PROMPT, "--edit", "1,:,7,3", "--controls", "4", "--control-kind", "positions"], "fit no other tokens"),
        ([PROMPT, "--edit", "1,-10,7,3"], "position -10 of an edit is outside the prompt"),
        ([PROMPT, "--edit", "1,4,7,x1", "--controls", "4"], "nothing to control for"),
        ([PROMPT, "--edit", "1,4,7,3", "--controls", "4", "--target", "w7 w8"], "is 2 tokens"),
        ([PROMPT, "--edit", "1,4,7,3", "--controls", "4", "--target", "61"], "not in the vocabulary"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, arguments: list[str], says: str) -> None:
    assert says in cli.fails("steer", *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [PROMPT],
        ["--edit", "1,4,7,3"],
        [PROMPT, "--tokens", "1,2", "--edit", "1,4,7,3"],
        [PROMPT, "--edit", "1,4,7"],
        [PROMPT, "--edit", "1,4,7,3,5"],
        [PROMPT, "--edit", "1,4,7,much"],
        [PROMPT, "--edit", "1,4,7,x"],
        [PROMPT, "--edit", "1,4,7,nan"],
        [PROMPT, "--edit", "1,4,7,1e30"],
        [PROMPT, "--edit", "1,4:5:6,7,3"],
        [PROMPT, "--edit", "1,last,7,3"],
        [PROMPT, "--edit", "1,4,7,3", "--protocol", "patch"],
        [PROMPT, "--edit", "1,4,7,3", "--protocol", "constrained"],
        [PROMPT, "--edit", "1,4,7,3", "--layers", "0,2"],
        [PROMPT, "--edit", "1,4,7,3", "--protocol", "constrained", "--layers", "0"],
        [PROMPT, "--edit", "1,4,7,+"],
        [PROMPT, "--edit", "1,4,7,+nan"],
        [PROMPT, "--edit", "1,4,7,x1e30"],
        [PROMPT, "--edit", "1,generated,7,3"],
        [PROMPT, "--edit", "1,generated:,7,3", "--generate", "4"],
        [PROMPT, "--edit", "1,4,7,3", "--generate", "0"],
        [PROMPT, "--edit", "1,4,7,3", "--generate", "1025"],
        [PROMPT, "--edit", "1,4,7,3", "--generate", "some"],
        [PROMPT, "--edit", "1,4,7,3", "--controls", "0"],
        [PROMPT, "--edit", "1,4,7,3", "--controls", "4", "--control-kind", "influence"],
        [PROMPT, "--edit", "1,4,7,3", "--controls", "4", "--seed", "-1"],
        [PROMPT, "--edit", "1,4,7,3", "--temperature", "1"],
        [PROMPT, "--edit", "1,4,7,3", "--control-kind", "features"],
        [PROMPT, "--edit", "1,4,7,3", "--target", "w7"],
        [PROMPT, "--edit", "1,4,7,3", "--seed", "1"],
    ],
)
def test_bad_usage(cli: Cli, arguments: list[str]) -> None:
    cli.usage("steer", *arguments)

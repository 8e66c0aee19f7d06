"""`steer`: its JSON, and one line for everything that goes wrong."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tracer
from tests.cli.driver import Cli
from tests.helpers import PROMPT
from tracer import Edit

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
        [PROMPT, "--edit", "1,4:5:6,7,3"],
        [PROMPT, "--edit", "1,last,7,3"],
        [PROMPT, "--edit", "1,4,7,3", "--protocol", "patch"],
        [PROMPT, "--edit", "1,4,7,3", "--protocol", "constrained"],
        [PROMPT, "--edit", "1,4,7,3", "--layers", "0,2"],
        [PROMPT, "--edit", "1,4,7,3", "--protocol", "constrained", "--layers", "0"],
    ],
)
def test_bad_usage(cli: Cli, arguments: list[str]) -> None:
    cli.usage("steer", *arguments)

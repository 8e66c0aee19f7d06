"""`replicate`: its report, exit codes, and the default model's list in full."""

import json
import time
from pathlib import Path

import pytest

import tracer
from cli.main import main
from tests.cli.driver import Cli
from tests.helpers import PROMPT
from tracer import replications

MADE_UP = """
model: {model}
features: neurons
source: made up
tolerance: {{probability: 0.001}}
rows:
  - {{id: T1, title: holds, claim: c, prompt: {prompt}, before: {{top: [{first}]}}}}
  - {{id: T2, title: does not hold, claim: c, negative: true, prompt: {prompt}, before: {{top: [[{first}, 0.9]]}}}}
  - {{id: T3, title: must wait, claim: c, not_run: needs a dance}}
"""


@pytest.fixture
def made_up(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A list of the name "made-up" for the tiny model; its most likely token."""
    model = tracer.load(str(folder))
    first = model.next_tokens(model.token_ids(PROMPT), 1)[0].token
    (tmp_path / "made-up.yaml").write_text(MADE_UP.format(model=folder, prompt=PROMPT, first=first))
    monkeypatch.setattr("tracer.replications.FOLDER", tmp_path)
    monkeypatch.setattr("tracer.replications.rows.FOLDER", tmp_path)
    return first


def replicate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["replicate", *arguments])
    return code, *capsys.readouterr()


def test_rows_that_hold_exit_0(cli: Cli, made_up: str) -> None:
    assert "1 reproduced, 0 differs, 1 not run" in cli.text("replicate", "made-up", "--only", "T3", "T1")


def test_a_row_that_differs_exits_1_with_both_figures(made_up: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = replicate(capsys, "made-up")
    assert (code, err) == (1, "tracer: 1 of 3 rows differ: T2; see their figures\n")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if "  T" in line] == ["reproduced", "differs", "not"]
    assert "does not hold (negative)" in out and "needs a dance" in out
    assert f"p({made_up!r}) before: expected 0.9000, measured 0." in out
    assert lines[-1] == "1 reproduced, 1 differs, 1 not run"


def test_json(made_up: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = replicate(capsys, "made-up", "--json")
    found = json.loads(out)
    assert code == 1 and list(found) == ["model", "features", "source", "counts", "rows"]
    assert found["counts"] == {"reproduced": 1, "differs": 1, "not run": 1}
    assert list(found["rows"][0]) == ["id", "title", "claim", "negative", "status", "reason", "checks"]
    assert [row["status"] for row in found["rows"]] == ["reproduced", "differs", "not run"]
    wrong = found["rows"][1]["checks"][1]
    assert wrong["expected"] == 0.9 and 0 < wrong["measured"] < 0.5 and wrong["ok"] is False


def test_unknown_row_and_list(cli: Cli, made_up: str) -> None:
    assert "the list has no row 'T9'; it has T1, T2, T3" in cli.fails("replicate", "made-up", "--only", "T9")
    cli.usage("replicate", "gemma-2-9b")
    cli.usage("replicate")


@pytest.mark.parametrize("preset", ["gemma-2-2b", "llama-3.2-1b"])
def test_missing_weights_are_said_in_a_line(
    cli: Cli, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "is not on this machine and the Hub can't be reached" in cli.fails("replicate", preset)


@pytest.mark.default_model
@pytest.mark.slow
def test_the_default_models_list_is_reproduced_in_full(gemma: tracer.ReplacementModel) -> None:
    """In under two minutes on two cores."""
    listing = replications.read(replications.FOLDER / "gemma-3-270m.yaml")
    begin = time.perf_counter()
    results = [replications.replicate(gemma, listing, row) for row in listing.rows]
    assert [(result.id, result.checks) for result in results if result.status != "reproduced"] == []
    assert time.perf_counter() - begin < 120

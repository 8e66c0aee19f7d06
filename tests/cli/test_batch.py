"""`batch` in this process: graphs into a folder, goes on where it was, and isolates what fails. Over Ray: see
tests/service/batches/test_over_ray.py."""

import json
import sys
from pathlib import Path

import pytest

import tracer
from cli.main import main
from lab import HypothesisFile
from lab.freeze import write
from service.batches.folder import read
from tests.cli.driver import Cli
from tests.helpers import VOCAB
from tests.lab.runs.tiny import hypothesis
from tests.service.batches.equal import equal


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,target,minus,family\nw4 w9 w2,w3,,a\nw4 w9 w2,w3,7,a\nw7 w8,,,b\nw4 w9 w2,w3,,b\n")
    return path


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "results").iterdir()}


def test_graphs_are_those_of_trace_and_are_made_once(cli: Cli, prompts: Path, tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    told = cli.text("batch", prompts, "--out", out, "--max-nodes", 30)
    assert told == f"3 graphs in {out}: 3 traced now, 0 were there\n"
    batch, model = read(out), tracer.load(str(folder))
    assert batch.about.title == "prompts" and batch.about.model == str(folder)
    assert [(item.row, item.family, item.tokens) for item in batch.items][2] == (3, "b", (0, 9, 10))
    assert batch.items[0].key == batch.items[3].key != batch.items[1].key
    for item, targets in zip(batch.items, (["w3"], tracer.Difference("w3", 7), None), strict=False):
        assert equal(batch.graph(item.key), model.trace(item.prompt, targets=targets, max_nodes=30))
    before = times(out)
    again = cli.text("batch", prompts, "--out", out, "--max-nodes", 30)
    assert again == f"3 graphs in {out}: 0 traced now, 3 were there\n" and times(out) == before
    assert "another model, engine or settings" in cli.fails("batch", prompts, "--out", out)


def test_a_prompt_that_fails_takes_no_other_with_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "out"
    rows = [
        {"tokens": [0, 4, VOCAB]},
        {"prompt": "w1 w2"},
        {"prompt": "w1", "target": "w1 w2"},
        {"prompt": "w5 " * 600},
        {"prompt": "w3 w2", "condition": "last"},
        {"prompt": "w1", "target": "w1 w2"},  # the third once more: it counts once
    ]
    prompts.write_text("\n".join(map(json.dumps, rows)))
    command = ["batch", str(prompts), "--out", str(out), "--max-nodes", "10"]
    assert main(command) == 1
    said, told = capsys.readouterr()
    assert said == "" and told.splitlines()[-1].startswith("tracer: 3 of 5 prompts failed, row 1 first (token id 61")
    assert [line[:6] for line in told.splitlines()[:-1]] == ["row 1:", "row 3:", "row 4:"]
    batch = read(out)
    outcomes = [batch.outcome(item.key) for item in batch.items]
    assert [outcome and outcome.status for outcome in outcomes] == [
        "failed",
        "done",
        "failed",
        "failed",
        "done",
        "failed",
    ]
    assert "HYPOGRAPH_MAX_TOKENS" in str(outcomes[3] and outcomes[3].error)
    monkeypatch.setenv("HYPOGRAPH_MAX_TOKENS", "5")
    before = times(out)
    assert main(command) == 1 and "3 of 5 prompts failed" in capsys.readouterr().err
    kept = {f"{item.key}.safetensors" for item in (batch.items[1], batch.items[4])}
    assert kept == {name for name in before if name.endswith(".safetensors")}
    assert {name: times(out)[name] for name in kept} == {name: before[name] for name in kept}


def test_interrupted(
    cli: Cli, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def show(phase: str, _fraction: float) -> None:
        if phase.endswith(" prompts") and phase.startswith("1 of 3"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cli.common.show", show)
        assert main(["batch", str(prompts), "--out", str(out)]) == 130
    said = capsys.readouterr().err.splitlines()
    assert said == ["tracer: 1 of 3 graphs are kept: the same command goes on", "tracer: interrupted"]
    assert cli.text("batch", prompts, "--out", out) == f"3 graphs in {out}: 2 traced now, 1 were there\n"


HOSTILE = {
    "empty.csv": (b"", "line 1 must name columns"),
    "only-header.csv": (b"prompt\n", "holds no prompt"),
    "empty.jsonl": (b"\n\n", "holds no prompt"),
    "none.txt": (b"x", "neither .csv nor .jsonl"),
    "column.csv": (b"prompt,x\na,b\n", "line 1 must name columns"),
    "twice.csv": (b"prompt,prompt\na,b\n", "line 1 must name columns"),
    "cells.csv": (b"prompt,family\na\n", "line 2 has 1 cells"),
    "quotes.csv": (b'prompt\n"a\n', "is no CSV"),
    "wide.csv": (b"prompt\n" + b"x" * 200_000 + b"\n", "is no CSV (field larger"),
    "nul.csv": (b"prompt\na\0b\n", "line 2"),
    "latin.csv": (b"prompt\ncaf\xe9\n", "line 2 is not UTF-8"),
    "tokens.csv": (b'tokens\n"1,x"\n', "line 2: tokens"),
    "deep-tokens.csv": (b"tokens\n" + b"[" * 100_000 + b"\n", "line 2: tokens"),
    "bad.jsonl": (b'{"prompt": "a"}\n{', "line 2"),
    "deep.jsonl": (b'{"prompt": ' + b"[" * 100_000, "line 1"),
    "nul.jsonl": (b'{"prompt": "a\\u0000"}', "line 1: prompt"),
    "surrogate.jsonl": (b'{"prompt": "\\ud800"}', "line 1"),
    "number.jsonl": (b"7", "line 1: fields with values must stand here"),
    "both.jsonl": (b'{"prompt": "a", "tokens": [1]}', "line 1: give a prompt or tokens"),
    "neither.jsonl": (b"{}", "line 1: give a prompt or tokens"),
    "minus.jsonl": (b'{"prompt": "a", "minus": 3}', "line 1 has a minus without a target"),
    "negative.jsonl": (b'{"tokens": [-1]}', "line 1: tokens.0"),
    "bool.jsonl": (b'{"tokens": [true]}', "line 1: tokens.0"),
    "key.jsonl": (b'{"prompt": "a", "key": "../../x"}', "line 1: key"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_make_no_sense_are_one_line(cli: Cli, tmp_path: Path, name: str) -> None:
    content, says = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    assert says in cli.fails("batch", tmp_path / name, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_too_large_is_refused_before_it_is_read(cli: Cli, tmp_path: Path) -> None:
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(200_000_001)  # takes no disk
    assert "is longer than 200 MB" in cli.fails("batch", huge, "--out", tmp_path / "out")
    assert "can't read" in cli.fails("batch", tmp_path / "none.csv", "--out", tmp_path / "out")


def test_usage(cli: Cli, prompts: Path, tmp_path: Path) -> None:
    cli.usage("batch", prompts)
    cli.usage("batch", prompts, "--out", tmp_path, "--workers", 2)
    cli.usage("batch", prompts, "--out", tmp_path, "--ray", "local", "--gpus-per-worker", 1.5)
    cli.usage("batch", "--hypothesis", tmp_path / "h.yaml", "--out", tmp_path, "--max-nodes", 30)
    assert "a folder of something else" in cli.fails("batch", prompts, "--out", tmp_path)


def test_a_hypothesis_runs_here_too(cli: Cli, folder: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    about = hypothesis(model=str(folder), model_fingerprint=None, basis_fingerprint=None)
    draft.write_text(write(HypothesisFile(hypothesis=about)))
    said = cli.text("batch", "--hypothesis", draft, "--out", tmp_path / "out")
    assert "control sets did as much" in said and (tmp_path / "out" / "report.md").is_file()
    assert cli.text("test", draft) == said  # the run that is there: nothing is computed again


def test_ray_is_optional(cli: Cli, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = cli.fails("batch", prompts, "--out", tmp_path / "out", "--ray", "local")
    assert "pip install -r requirements-cluster.txt" in said


def test_no_cluster_is_one_line(cli: Cli, prompts: Path, tmp_path: Path) -> None:
    said = cli.fails("batch", prompts, "--out", tmp_path / "out", "--ray", "127.0.0.1:1")
    assert said.startswith("tracer: nothing answers at 127.0.0.1:1 (")

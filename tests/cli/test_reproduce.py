"""`reproduce`: a bundle that comes out again (0), and one line for whatever does not (1)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from lab import HypothesisFile, Lab
from lab.freeze import write
from tests.cli.driver import Cli
from tests.lab.runs.tiny import hypothesis


@pytest.fixture
def bundle(cli: Cli, folder: Path, tmp_path: Path) -> Path:
    """Of a draft that ran."""
    (tmp_path / "draft.yaml").write_text(
        write(HypothesisFile(hypothesis=hypothesis(model=str(folder), model_fingerprint=None, basis_fingerprint=None)))
    )
    cli.text("test", tmp_path / "draft.yaml", "--out", tmp_path / "bundle")
    return tmp_path / "bundle"


def change(path: Path, change: Callable[[Any], None], line: int = 0) -> None:
    lines = path.read_text().split("\n") if path.suffix == ".jsonl" else [path.read_text()]
    told = json.loads(lines[line])
    change(told)
    lines[line] = json.dumps(told)
    path.write_text("\n".join(lines))


def differs(cli: Cli, *arguments: object) -> tuple[dict[str, Any], str]:
    """What it prints, and the one line on stderr."""
    assert main(["reproduce", *map(str, arguments), "--json"]) == 1
    out, err = cli.capsys.readouterr()
    assert err.startswith("tracer: ") and err.count("\n") == 1
    return json.loads(out), err


def test_what_comes_out_again(cli: Cli, bundle: Path, home: Path) -> None:
    lab = Lab(f"sqlite:///{home / 'lab.sqlite'}")
    me = lab.person("local", "me", "me")
    before = len(lab.find("run", me))
    found = cli.json("reproduce", bundle)
    assert found["agrees"] and found["verdict"]["same"] and found["verdict"]["now"].startswith("Inconclusive: ")
    assert found["figures"] > 7 * (19 + 3) and found["differing"] == 0 and found["largest_difference"] < 1e-6
    assert found["made_with"] == {} and found["worst"] == [] and found["result_says_otherwise"] == []
    assert len(lab.find("run", me)) == before == 1  # nothing is left behind
    lab.close()


def test_a_figure_that_was_changed_is_found(cli: Cli, bundle: Path) -> None:
    def put(told: Any) -> None:
        told["figures"]["controls"][0]["values"][0][4] += 0.004

    figures = bundle / "figures.jsonl"
    line = next(n for n, text in enumerate(figures.read_text().splitlines()) if '"number":2,' in text)
    change(figures, put, line)
    change(bundle / "run.json", lambda told: told["made_with"]["versions"].update(torch="1.0", other="2"))
    found, said = differs(cli, bundle)
    assert said == f"tracer: bundle is not reproduced: 1 of {found['figures']} figures differ\n"
    (worst,) = found["worst"]
    assert worst["where"] == "test 2, controls 1, values 1 5" and worst["bundle"] - worst["now"] == pytest.approx(0.004)
    assert found["largest_difference"] == worst["difference"] and found["verdict"]["same"] and not found["agrees"]
    assert found["made_with"]["torch"]["bundle"] == "1.0" and found["made_with"]["other"]["now"] == "none"
    printed = cli.text("reproduce", bundle, "--tolerance", "0.1")
    assert "torch: '1.0' in the bundle, '" in printed and "It is reproduced." in printed


def test_another_verdict_and_a_result_that_says_otherwise(cli: Cli, bundle: Path) -> None:
    figures = bundle / "figures.jsonl"

    def stronger(told: Any) -> None:
        if told["figures"].get("where") == "test" and told["figures"].get("doses"):
            told["figures"]["doses"][0]["value"] -= 5

    for line in range(len(figures.read_text().splitlines())):
        change(figures, stronger, line)
    assert main(["reproduce", str(bundle)]) == 1
    out, err = cli.capsys.readouterr()
    assert "in the bundle: Supported: " in out and "here:          Inconclusive: " in out
    assert "result.json says 'inconclusive', the bundle's figures 'supported': result, verdict, decision" in out
    assert "test 1, doses 1, value: " in out and "It is reproduced" not in out
    assert "it is inconclusive here, and supported in the bundle; 7 of " in err
    assert err.endswith("figures differ; its result.json does not follow from its figures\n")


def test_what_cannot_be_run_is_one_line(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    assert "none can't be read" in cli.fails("reproduce", tmp_path / "none")
    text = (bundle / "figures.jsonl").read_text().splitlines()
    (bundle / "figures.jsonl").write_text("\n".join(text[:4]))
    assert "bundle: its run was not finished" in cli.fails("reproduce", bundle)
    (bundle / "run.json").write_text("{}")
    assert "bundle: run.json is not that of a run" in cli.fails("reproduce", bundle)
    for tolerance in ("-1", "nan", "x"):
        assert "is no number from 0 to below 1" in cli.usage("reproduce", bundle, "--tolerance", tolerance)
    cli.usage("reproduce")

"""`test`: a hypothesis runs to its verdict, goes on where it was, and says in one line what it can't run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from lab import About, HypothesisFile, Lab, Person
from lab.freeze import write
from lab.hypothesis import HypothesisBody
from lab.runs.bundle import read
from lab.runs.compare import result_pairs
from lab.statistics import corrected
from tests.cli.driver import Cli
from tests.lab.runs.made_up import BASE, EDIT, ran
from tests.lab.runs.tiny import frozen, hypothesis, prompts


@pytest.fixture
def lab(home: Path) -> Iterator[Lab]:
    """The one that the command opens."""
    lab = Lab(f"sqlite:///{home / 'lab.sqlite'}")
    yield lab
    lab.close()


@pytest.fixture
def me(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.setenv("HYPOGRAPH_USER", "me")
    return lab.person("local", "me", "me")


def about(folder: Path, **changes: object) -> HypothesisBody:
    """The hypothesis with the model where it is; a draft leaves fingerprints out."""
    return hypothesis(model=str(folder), model_fingerprint=None, basis_fingerprint=None, **changes)


@pytest.fixture
def draft(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "draft.yaml"
    path.write_text(write(HypothesisFile(hypothesis=about(folder, notebook="Names"))))
    return path


def test_a_draft_runs_and_is_exploratory(cli: Cli, draft: Path, lab: Lab, me: Person, tmp_path: Path) -> None:
    found = cli.json("test", draft, "--out", tmp_path / "out")
    assert found["exploratory"] == "the hypothesis was not frozen" and found["finished"] == found["total"] == 9
    assert found["verdict"]["sentence"].startswith("Inconclusive: the effect of ")
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == found
    names = {"hypothesis.yaml", "run.json", "figures.jsonl", "figures.csv", "result.json", "report.md"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    (run,) = lab.find("run", me)
    times = lab.figures(run.id, me).times
    assert cli.json("test", draft) == found  # and computes nothing again
    assert lab.figures(run.id, me).times == times and len(lab.find("run", me)) == 1
    assert cli.json("test", draft, "--anew") == found
    assert len(lab.find("run", me)) == 2
    said = cli.text("test", draft)
    assert "exploratory: the hypothesis was not frozen" in said and "left out" in said
    assert "control sets did as much" in said and "  ! Few units: 7 families" in said
    assert said.endswith("  ! not corrected: the notebook's other claims are not here\n")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "over the notebook “Names” (not corrected: no other claim of it was counted)" in report


def test_a_frozen_record_is_confirmatory_and_corrected_over_its_notebook(
    cli: Cli, folder: Path, lab: Lab, me: Person, draft: Path, tmp_path: Path
) -> None:
    cli.text("test", draft)
    made = lab.find("run", me)[0].head.body.made_with
    fingerprints = {"model_fingerprint": made.model_fingerprint, "basis_fingerprint": made.basis_fingerprint}
    few = {"controls": [{"seed": 5, "sets": 19}], "off_target": [], "notebook": "Names"}
    for effect in (-0.1, 2.0):
        other = frozen(lab, me, hypothesis(**BASE | {"intervention": EDIT, "notebook": "Names", "title": str(effect)}))
        assert other.freeze is not None
        ran(lab, me, lab.get(other.freeze.record, me), effect)
    file = frozen(lab, me, hypothesis(**fingerprints | few, model=str(folder)))
    assert file.freeze is not None
    found = cli.json("test", "--record", file.freeze.record, "--out", tmp_path / "out")
    bundle = read(tmp_path / "out")
    assert len(bundle.notebook) == 2 and result_pairs(bundle.said, bundle.found)[0].gap() == 0
    p = found["findings"]["controls"][0]["p"]
    assert found["findings"]["corrected"] == pytest.approx(corrected([p, *bundle.notebook], "bh")[0])
    assert "(not corrected" not in (tmp_path / "out" / "report.md").read_text()
    assert found["exploratory"] is None and found["hash"] == file.freeze.hash
    draft.write_text(write(file))
    assert cli.json("test", draft) == found  # the same version, as a file
    said = cli.text("test", draft)
    assert "confirmatory: frozen before it ran" in said and "not corrected" not in said


def test_interrupted(
    cli: Cli, folder: Path, lab: Lab, me: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []
    private = lab.create(me, About(), about(folder), "private").id

    def show(phase: str, _fraction: float) -> None:
        heard.append(phase)
        if heard.count("prompts") == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cli.common.show", show)
        assert main(["test", "--record", private]) == 130
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "tracer: interrupted"
    assert said[-2].endswith(" of 9 prompts are finished and kept: the same command goes on")
    assert 0 < int(said[-2].split()[1]) < 9
    assert cli.json("test", "--record", private)["finished"] == 9
    assert [run.visibility for run in lab.find("run", me)] == ["private"]


def test_what_cannot_be_run_is_one_line(cli: Cli, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    for changes, says in (
        ({"prompts": prompts(4)}, "4 units can't reach"),
        ({"circuit": [{"name": "set", "nodes": [{"layer": 9, "feature": 1}]}]}, "layer 9 of an edit is not there"),
    ):
        path.write_text(write(HypothesisFile(hypothesis=about(folder, **changes))))
        assert says in cli.fails("test", path)
    assert "can't be read" in cli.fails("test", tmp_path / "none.yaml")
    assert "there is no such record" in cli.fails("test", "--record", "none")
    cli.usage("test")
    cli.usage("test", path, "--record", "x")

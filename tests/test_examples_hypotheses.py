"""The worked examples: frozen before they ran, as they came out, and of each verdict one. In soak each is run anew."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import LabError, fault, read_file
from lab.freeze import write
from lab.runs.bodies import version_hash
from lab.runs.bundle import read
from lab.runs.compare import result_pairs
from lab.runs.examples import FOLDER, example, examples, names
from tests.cli.driver import Cli

NAMES = names()
CHEAPEST = "5-one-neuron-leaves-capitals"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_holds(name: str) -> None:
    bundle = example(name)
    file = bundle.run.hypothesis
    assert file.freeze is not None and fault(file.hypothesis, file.freeze) is None
    assert file.freeze.version == 1 and bundle.found.exploratory is None and bundle.started > file.freeze.time
    assert (FOLDER / name / "hypothesis.yaml").read_text() == write(file)
    assert len(file.hypothesis.prompts_for("test")) >= 10 and file.hypothesis.model == "gemma-3-270m"
    assert bundle.found.complete and bundle.found.verdict is not None
    assert all(pair.gap() < 1e-6 for pair in result_pairs(bundle.said, bundle.found))
    assert bundle.said.verdict is not None and bundle.said.verdict.sentence == bundle.found.verdict.sentence
    assert bundle.found.verdict.sentence in (FOLDER / "README.md").read_text()


def test_there_is_one_of_each() -> None:
    found = [bundle for _, bundle in examples()]
    told = {(b.run.body.kind, b.found.verdict.decision) for b in found if b.found.verdict is not None}
    assert {("necessity", "supported"), ("no_effect", "supported")} <= told
    assert {"supported", "refuted", "inconclusive"} == {decision for _, decision in told}
    assert all(f.sets == 199 for b in found for f in b.run.body.controls)
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 1_000_000


def test_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"there is no worked example '\.\./x': there are 1-"):
        example("../x")
    assert names(tmp_path) == [] and examples(tmp_path) == []


def test_one_that_was_changed_is_not_run(cli: Cli, tmp_path: Path) -> None:
    shutil.copytree(FOLDER / CHEAPEST, tmp_path / "e")
    path, told = tmp_path / "e" / "hypothesis.yaml", json.loads((tmp_path / "e" / "run.json").read_text())
    path.write_text(path.read_text().replace("smallest_effect: 0.5", "smallest_effect: 0.9"))
    assert "e: run.json is of another hypothesis" in cli.fails("reproduce", tmp_path / "e")
    (tmp_path / "e" / "run.json").write_text(json.dumps(told | {"hash": version_hash(read_file(path))}))
    assert "e: version 1 is not what was frozen" in cli.fails("reproduce", tmp_path / "e")
    assert read(tmp_path / "e").found.exploratory is not None


@pytest.mark.soak
@pytest.mark.default_model
@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_reproduced(
    name: str,
    cli: Cli,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    (tmp_path / "models").symlink_to(store.resolve())
    monkeypatch.setenv("HYPOGRAPH_HOME", str(tmp_path))
    found = cli.json("reproduce", FOLDER / name)
    assert found["agrees"] and found["largest_difference"] <= 1e-3
    record_property(f"reproduce {name}", f"{found['seconds']:.0f} s, load {os.getloadavg()[0]:.1f}")

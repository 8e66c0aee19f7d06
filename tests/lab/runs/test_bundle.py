"""A bundle is read back as it was, its result follows from its figures, and nothing hostile in one gets further."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lab import HypothesisFile, Lab, LabError
from lab.runs import files
from lab.runs.bodies import RunBody, version_hash
from lab.runs.bundle import pack, read
from lab.runs.compare import Pair, pairs, result_pairs
from lab.runs.conclude import result
from lab.runs.keeping import Kept
from lab.runs.run import begin, run
from tests.lab.runs.made_up import BASE, NOON, decided, figures
from tests.lab.runs.made_up import kept as made_up
from tests.lab.runs.made_up import made as made_run
from tests.lab.runs.tiny import INTERCHANGES, NOT_SHOWN, frozen, hypothesis, model

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunBody, datetime, Kept]:
    """A finished run of a frozen hypothesis on the tiny model."""
    lab = Lab(f"sqlite:///{tmp_path_factory.mktemp('lab') / 'lab.sqlite'}")
    ada, tiny = lab.person("local", "ada", "Ada"), model()
    named = {"model_fingerprint": tiny.model_fingerprint, "basis_fingerprint": tiny.basis_fingerprint}
    record = begin(lab, ada, frozen(lab, ada, hypothesis(**named)), tiny)
    for _ in run(lab, ada, record, tiny):
        pass
    found = record.head.body, record.created, lab.figures(record.id, ada)
    lab.close()
    return found


@pytest.fixture(scope="module")
def whole(made: tuple[RunBody, datetime, Kept]) -> Files:
    return files.contents(*made, result(*made), "# Report")


def zipped(contents: Files, *more: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in [*contents.items(), *more]:
            archive.writestr(name, content)
    return packed.getvalue()


def refused(tmp_path: Path, content: bytes | Files) -> str:
    """The one line that says why."""
    path = tmp_path / "b.zip"
    path.write_bytes(zipped(content) if isinstance(content, dict) else content)
    with pytest.raises(LabError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith("b.zip: ") and "\n" not in said and len(said) < 400
    return said


def test_zip_and_folder_are_read_back(made: tuple[RunBody, datetime, Kept], whole: Files, tmp_path: Path) -> None:
    run, started, kept = made
    found = result(*made, notebook=(0.2,))
    (tmp_path / "b.zip").write_bytes(pack(*made, found, "# Report", notebook=(0.2,)))
    files.save(tmp_path / "folder", *made, found, "# Report", notebook=(0.2,))
    for bundle in (read(tmp_path / "b.zip"), read(tmp_path / "folder")):
        assert (bundle.run, bundle.started, bundle.notebook) == (run, started, (0.2,))
        assert bundle.kept == kept and list(bundle.kept.prompts) == list(kept.prompts)  # to the last digit
        assert bundle.found == bundle.said == found and found.complete and found.exploratory is None
        assert all(pair.gap() == 0 for pair in pairs(bundle.kept, kept))
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {*whole} | {"report.md"}
    assert (tmp_path / "folder" / "report.md").read_text() == "# Report"
    assert pack(*made, found) == pack(*made, found) and b"report.md" not in pack(*made, found)


MEDIATES = {"kind": "mediation", "mediators": [{"name": "between", "nodes": [{"layer": 2, "feature": 11}]}]}
COMPARES = {
    "kind": "equivalence",
    "direction": "two_sided",
    "second_circuit": [{"name": "other", "nodes": [{"layer": 1, "feature": 3}]}],
    "intervention": {"settings": [{"supernode": "set", "primary": -1}, {"supernode": "other", "primary": -1}]},
}


@pytest.mark.parametrize(("changes", "full_grid"), [(MEDIATES, True), (COMPARES, False)], ids=["mediates", "compares"])
def test_runs_of_other_kinds(changes: dict[str, Any], full_grid: bool, tmp_path: Path) -> None:
    lab, tiny = Lab(f"sqlite:///{tmp_path / 'lab.sqlite'}"), model()
    ada = lab.person("local", "ada", "Ada")
    few = {"controls": [{"seed": 5, "sets": 19}], "model_fingerprint": None, "basis_fingerprint": None}
    record = begin(lab, ada, HypothesisFile(hypothesis=hypothesis(**few | changes)), tiny, full_grid=full_grid)
    for _ in run(lab, ada, record, tiny):
        pass
    made = record.head.body, record.created, lab.figures(record.id, ada)
    lab.close()
    (tmp_path / "b.zip").write_bytes(pack(*made, result(*made)))
    bundle = read(tmp_path / "b.zip")
    assert (bundle.run, bundle.kept) == (made[0], made[2]) and bundle.found.complete


def test_a_draft_and_a_run_that_is_not_finished(made: tuple[RunBody, datetime, Kept], tmp_path: Path) -> None:
    run, started, kept = made
    body = run.model_copy(update={"hypothesis": HypothesisFile(hypothesis=run.hypothesis.hypothesis)})
    body = body.model_copy(update={"hash": version_hash(body.hypothesis)})
    few = Kept(dict(list(kept.prompts.items())[:3]), kept.drawn, kept.times)
    (tmp_path / "b.zip").write_bytes(pack(body, started, few, result(body, started, few)))
    bundle = read(tmp_path / "b.zip")
    assert bundle.found.finished == 3 and bundle.found.verdict is None
    assert bundle.found.exploratory == "the hypothesis was not frozen"


def test_more_files_beside_are_not_looked_at(whole: Files, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(
        zipped(whole, ("../../climbs", b"x"), ("report.html", b"<script>"), ("/etc/x", b""))
    )
    assert read(tmp_path / "b.zip").found.complete
    assert {path.name for path in tmp_path.parent.glob("**/climbs")} == set()


def changed(whole: Files, name: str, change: Callable[[Any], Any], line: int = 0) -> Files:
    """With the JSON of one file (of figures.jsonl one line) changed."""
    lines = whole[name].split(b"\n") if name == "figures.jsonl" else [whole[name]]
    lines[line] = json.dumps(change(json.loads(lines[line]))).encode()
    return whole | {name: b"\n".join(lines)}


def put(*path: str | int, value: Any) -> Callable[[Any], Any]:
    def change(told: Any) -> Any:
        at = told
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        return told

    return change


def of_part(whole: Files, part: str) -> int:
    """The line of figures.jsonl that holds it."""
    for n, line in enumerate(whole["figures.jsonl"].splitlines()):
        figures = json.loads(line)["figures"]
        if f"{figures.get('where', 'controls')} {figures.get('number', '')}".strip() == part:
            return n
    raise AssertionError(part)


@pytest.mark.parametrize(
    ("part", "path", "value", "says"),
    [
        ("test 1", ("number",), 9, "test 9 is none of its prompts that are run"),
        ("test 1", ("where",), "off-target", "off-target 1"),
        ("test 1", ("excluded",), True, "test 1 is left out where its rule keeps it"),
        ("test 1", ("baseline", "value"), float("nan"), "is no figures (figures."),
        ("test 1", ("baseline", "kl"), 1e300, "test 1 has one that is larger than 1e+12"),
        ("test 1", ("baseline", "value"), "1" * 5_000, "is no figures (figures."),
        ("test 1", ("baseline", "supernodes"), [], "watched supernodes"),
        ("test 1", ("doses",), [], "test 1 has 0 doses where it has 4"),
        ("test 1", ("sizes",), [1.0] * 9, "test 1 has 9 sizes where it has 4"),
        ("test 1", ("controls", 0, "values", 0), [1.0] * 20, "controls"),
        ("test 1", ("controls", 0, "kind"), "sign", "controls"),
        ("test 1", ("held",), {"value": 1.0}, "edits with mediators held"),
        ("test 1", ("predicted",), {"direct": 1.0, "through": 1.0, "missing": 0}, "predictions"),
        ("test 1", ("donor",), 1.0, "metrics on a donor"),
        ("test 1", ("more",), 1, "Extra inputs are not permitted"),
        (f"test {NOT_SHOWN}", ("excluded",), False, f"test {NOT_SHOWN} is left out where its rule keeps it"),
        ("off-target 1", ("number",), 2, "off-target 2 is none of its prompts"),
        ("controls", ("families", 0, "ratios", 3), -1.0, "no sensible size"),
        ("controls", ("families", 0, "wanted"), 20, "another number of sets was wanted"),
        ("controls", ("families", 1, "seeds"), [], "sets are missing"),
        ("controls", ("families",), [], "their controls are of other kinds"),
    ],
)
def test_figures_of_something_else(
    whole: Files, tmp_path: Path, part: str, path: tuple[str | int, ...], value: Any, says: str
) -> None:
    said = refused(tmp_path, changed(whole, "figures.jsonl", put("figures", *path, value=value), of_part(whole, part)))
    assert says in said


def test_files_that_do_not_fit_together(whole: Files, tmp_path: Path) -> None:
    lines = whole["figures.jsonl"].splitlines(keepends=True)
    for change, says in (
        ({"hypothesis.yaml": whole["hypothesis.yaml"].replace(b"alpha: 0.05", b"alpha: 0.1")}, "of another hypothesis"),
        ({"hypothesis.yaml": b"a: &a [*a]"}, "hypothesis.yaml: line 1 has anchors"),
        ({"figures.jsonl": b"".join(lines[1:])}, "they lack the control sets"),
        ({"figures.jsonl": whole["figures.jsonl"] + lines[1]}, " twice: take the bundle anew"),
        ({"figures.jsonl": b"\n" * 3_000}, "has more than 2,002 lines"),
        ({"figures.jsonl": b"[" * 1_000_000}, "figures.jsonl: line 1 is no figures"),
        ({"run.json": b"[" * 1_000_000}, "run.json is not that of a run"),
        ({"run.json": b"{}"}, "run.json is not that of a run (hash: Field required)"),
        ({"result.json": b'{"title": 1}'}, "result.json is no result (title"),
    ):
        assert says in refused(tmp_path, whole | change)
    for path, value, says in (
        (("format",), 2, "(format: Input should be 1)"),
        (("made_with", "model_fingerprint"), "other", "made with another model"),
        (("notebook",), [float("inf")], "run.json is not that of a run"),
        (("started",), "2026-11-27T12:00:00", "(started: "),
    ):
        assert says in refused(tmp_path, changed(whole, "run.json", put(*path, value=value)))


def test_what_result_json_says_is_held_against_the_figures(whole: Files, tmp_path: Path) -> None:
    lie = changed(whole, "result.json", put("verdict", "decision", value="supported"))
    (tmp_path / "b.zip").write_bytes(zipped(lie))
    bundle = read(tmp_path / "b.zip")
    worst, *others = result_pairs(bundle.said, bundle.found)
    assert (worst.where, worst.first, worst.second) == ("result, verdict, decision", "supported", "inconclusive")
    assert all(pair.gap() == 0 for pair in others) and len(others) > 30


def test_hostile_zips(whole: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zipped(whole)
    bomb = zipped(whole | {"run.json": b" " * 50_000_000})
    assert len(bomb) < 200_000
    assert "run.json is longer than 1,000,000 bytes" in refused(tmp_path, bomb)
    with pytest.warns(UserWarning, match="Duplicate"):
        assert "has run.json twice" in refused(tmp_path, zipped(whole, ("run.json", whole["run.json"])))
    assert "packed in an unusual way" in refused(tmp_path, zipped(whole, method=zipfile.ZIP_LZMA))
    assert "more than 200 files" in refused(tmp_path, zipped(whole, *((f"{n}", b"") for n in range(300))))
    assert "has no figures.jsonl" in refused(tmp_path, {name: whole[name] for name in ("run.json", "hypothesis.yaml")})
    assert "it is no zip" in refused(tmp_path, b"")
    assert "it is no zip" in refused(tmp_path, packed + b"and more")
    assert "it is no zip" in refused(tmp_path, b"PK\5\6" + b"\0" * 4 + b"\1\0\1\0" + b"\xff\0\0\0" * 2 + b"\0\0")
    for at in range(0, len(packed) - 22, 397):  # a broken byte anywhere: read as it was, or refused in one line
        broken = bytearray(packed)
        broken[at] ^= 0xFF
        (tmp_path / "b.zip").write_bytes(bytes(broken))
        try:
            assert read(tmp_path / "b.zip").found.complete
        except LabError as problem:
            assert "\n" not in str(problem)
    monkeypatch.setattr("lab.runs.bundle.LONGEST_ZIP", 1_000)
    assert "b.zip is longer than 1,000 bytes" in refused(tmp_path, packed)


def test_hostile_folders(whole: Files, tmp_path: Path) -> None:
    def folder(name: str) -> Path:
        (tmp_path / name).mkdir()
        for file, content in whole.items():
            (tmp_path / name / file).write_bytes(content)
        return tmp_path / name

    linked = folder("linked")
    (linked / "run.json").rename(tmp_path / "elsewhere")
    (linked / "run.json").symlink_to(tmp_path / "elsewhere")
    piped = folder("piped")
    (piped / "run.json").unlink()
    os.mkfifo(piped / "run.json")
    lacking = folder("lacking")
    (lacking / "result.json").unlink()
    for path, says in (
        (linked, "linked: run.json can't be read"),
        (piped, "piped: run.json is no file"),
        (lacking, "lacking: result.json can't be read (No such file or directory)"),
        (tmp_path / "none", "none: none can't be read"),
    ):
        with pytest.raises(LabError) as caught:
            read(path)
        assert says in str(caught.value)


def test_what_could_not_be_read_again_is_not_written(
    made: tuple[RunBody, datetime, Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files.LONGEST, "figures.jsonl", 100)
    with pytest.raises(LabError, match=r"figures.jsonl would be longer than 100 bytes"):
        pack(*made, result(*made))


def test_pairs_are_worst_first_and_nothing_is_left_out(made: tuple[RunBody, datetime, Kept]) -> None:
    _, _, kept = made
    one = kept.prompts["test 1"]
    primary = one.doses[0].model_copy(update={"value": one.doses[0].value + 0.5})
    other = one.model_copy(update={"doses": (primary, *one.doses[1:]), "magnitude": 2.0})
    there = Kept({**kept.prompts, "test 1": other}, kept.drawn, {})
    worst, second, *others = pairs(kept, there)
    assert worst.where == "test 1, magnitude" and worst.first is None and worst.gap() == float("inf")
    assert second.where == "test 1, doses 1, value" and 0 < second.gap() <= 0.5
    assert all(pair.gap() == 0 for pair in others) and len(others) > 7 * (19 + 3)
    gone = Kept({part: f for part, f in kept.prompts.items() if part != "test 1"}, None, {})
    lacking = [pair for pair in pairs(kept, gone) if pair.gap() == float("inf")]
    assert {pair.where.split(",")[0] for pair in lacking} == {"controls", "test 1"}


def test_a_bundle_from_before_donors_were_measured_is_read_and_compared(tmp_path: Path) -> None:
    body = hypothesis(**BASE | INTERCHANGES | {"model_fingerprint": "m", "basis_fingerprint": "b"})
    now, before = (
        made_up(body, [figures(body, n, 1.0, 2.0, donor=donor) for n in range(1, 9)]) for donor in (2.0, None)
    )
    run = made_run(body)
    (tmp_path / "b.zip").write_bytes(pack(run, NOON, before, result(run, NOON, before)))
    bundle = read(tmp_path / "b.zip")
    assert bundle.kept.prompts == before.prompts and bundle.found == bundle.said and bundle.found.complete
    for one, other in ((bundle.kept, now), (now, bundle.kept)):
        assert all(pair.gap() == 0 for pair in pairs(one, other))
    moved = Kept({part: f.model_copy(update={"donor": 2.5}) for part, f in now.prompts.items()}, now.drawn, {})
    far = [pair.where for pair in pairs(moved, now) if pair.gap()]
    assert far == [f"test {n}, donor" for n in range(1, 9)]
    (tmp_path / "b.zip").write_bytes(pack(run, NOON, now, result(run, NOON, now)))
    assert read(tmp_path / "b.zip").kept.prompts == now.prompts
    assert "test,1,False,donor,,,2," in files.contents(run, NOON, now, result(run, NOON, now))["figures.csv"].decode()


def test_gap_is_a_share_of_large_figures() -> None:
    for first, second, gap in ((0.1, 0.2, 0.1), (1000.0, 1001.0, 1 / 1001), (1, 2, 0.5), ("a", "b", float("inf"))):
        assert Pair("x", first, second).gap() == pytest.approx(gap)


def test_what_one_result_lacks_is_a_difference() -> None:
    found = decided()
    assert found.verdict is not None and found.findings is not None
    line = found.prompts[0].model_copy(update={"effect": None})
    for lacking in (
        {"verdict": None},
        {"findings": None},
        {"findings": found.findings.model_copy(update={"d_z": None})},
        {"prompts": (line, *found.prompts[1:])},
        {"prompts": found.prompts[1:]},
        {"exploratory": "the hypothesis was not frozen"},
    ):
        other = found.model_copy(update=lacking)
        for pair in (result_pairs(found, other)[0], result_pairs(other, found)[0]):
            assert pair.gap() > 0.1, lacking
    drafts = [found.model_copy(update={"exploratory": why}) for why in ("the hypothesis was not frozen", "no freeze")]
    said = replace(found.verdict, sentence="In other words.")
    for one, other in (drafts, (found, found.model_copy(update={"verdict": said}))):
        assert result_pairs(one, other)[0].gap() == 0

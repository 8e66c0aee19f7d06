"""`export` and `import`: files for other programs and from them, and one line for what goes wrong."""

import json
from pathlib import Path

import pytest

from cli.main import main
from tests.helpers import PROMPT, replacement, tiny_llama
from tests.tracer.interchange import pt_files
from tests.tracer.interchange.cases import ONE, case
from tracer import Graph

KEYS = [
    "format",
    "prompt",
    "tokens",
    "token_ids",
    "model",
    "features",
    "targets",
    "n_active",
    "n_selected",
    "n_edges",
    "replacement_score",
    "completeness_score",
    "row_error",
    "node_threshold",
    "edge_threshold",
    "feature_numbers",
    "error_ids",
    "ignored",
    "pins",
    "supernodes",
    "labels",
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=60)
    path = tmp_path_factory.mktemp("graphs") / "g.safetensors"
    graph.save(path)
    return path


class Cli:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def run(self, *arguments: object) -> str:
        code = main([*map(str, arguments)])
        out, err = self.capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    def fails(self, *arguments: object) -> str:
        code = main([*map(str, arguments)])
        out, err = self.capsys.readouterr()
        assert (code, out) == (1, "") and err.startswith("tracer: ")
        assert err.count("\n") == 1 and "--debug" not in err  # the fault is not ours
        return err

    def usage(self, *arguments: object) -> str:
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        assert caught.value.code == 2
        return self.capsys.readouterr().err


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def test_out_and_in_as_json(cli: Cli, saved: Path, tmp_path: Path):
    path, back = tmp_path / "my graph!.json", tmp_path / "back.safetensors"
    thresholds = ("--node-threshold", 0.6, "--edge-threshold", 0.9)
    assert str(path) in cli.run("export", saved, path, "--to", "neuronpedia", *thresholds)
    result = json.loads(cli.run("import", path, "--graph", back, "--json"))
    assert list(result) == KEYS
    graph, again = Graph.load(saved), Graph.load(back)
    pruned = graph.prune(0.6, 0.9)
    assert result["n_edges"] == again.adjacency.nnz == pruned.kept.nnz
    assert result["n_selected"] == again.layout.n_features == pruned.node_mask[: graph.layout.n_features].sum()
    assert (result["format"], result["node_threshold"], result["edge_threshold"]) == ("neuronpedia", 0.6, 0.9)
    assert (result["row_error"], result["n_active"], result["ignored"]) == (None, None, {})
    assert (result["tokens"], result["prompt"], result["model"]) == (graph.tokens, PROMPT, "tiny")
    assert result["targets"][0] == {"token": graph.targets[0].token, "id": graph.targets[0].id,
                                    "probability": pytest.approx(graph.targets[0].probability)}  # fmt: skip
    assert result["replacement_score"] == again.scores().replacement
    assert json.loads(path.read_text())["metadata"]["slug"] == "my-graph"


def test_out_and_in_as_pt(cli: Cli, saved: Path, tmp_path: Path):
    cli.run("export", saved, tmp_path / "g.pt", "--to", "circuit-tracer", "--scan", "a-set")
    result = json.loads(cli.run("import", tmp_path / "g.pt", "--json"))
    graph = Graph.load(saved)
    assert (result["format"], result["features"], result["n_active"]) == ("circuit-tracer", "a-set", 60)
    assert result["n_selected"] == 60 and result["replacement_score"] == pytest.approx(graph.scores().replacement)
    assert (result["node_threshold"], result["feature_numbers"]) == (None, None)


def test_options_reach_the_file(cli: Cli, saved: Path, tmp_path: Path):
    graph = Graph.load(saved)
    graph.meta["model"] = "gemma-3-270m"
    graph.save(tmp_path / "g.safetensors")
    path = tmp_path / "g.json"
    options = ("--slug", "a-slug", "--scan", "gemma-3", "--source-set", "a-set")
    cli.run("export", tmp_path / "g.safetensors", path, "--to", "neuronpedia", *options)
    metadata = json.loads(path.read_text())["metadata"]
    assert (metadata["slug"], metadata["scan"], metadata["node_threshold"]) == ("a-slug", "gemma-3", 0.8)
    assert metadata["info"]["neuronpedia_source_set"] == "a-set" and metadata["licence"].startswith("Gemma Terms")
    cli.run("import", path, "--graph", tmp_path / "back.safetensors")
    cli.run("export", tmp_path / "back.safetensors", path, "--to", "neuronpedia")
    assert json.loads(path.read_text())["metadata"]["licence"] == metadata["licence"]


def test_what_is_printed_of_a_foreign_file(cli: Cli, tmp_path: Path):
    it = case(ONE)
    document = it.document | {"odd": 1}
    document["metadata"]["prompt"] = "\x1b[2J a prompt that clears the screen"
    (tmp_path / "g.json").write_text(json.dumps(document))
    text = cli.run("import", tmp_path / "g.json")
    assert "row errors unknown" in text and "pruned at 0.8" in text and "ignored: 1 unknown fields of the file" in text
    assert "feature numbers: cantor; error ids: 0_layer_position" in text and "\x1b" not in text
    text = cli.run("import", pt_files.write(it, tmp_path / "g.pt"))
    assert "circuit-tracer, whole" in text and "'a-model'" in text


def test_what_goes_wrong_is_one_line(cli: Cli, saved: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert "address" in cli.fails("import", "https://example.org/graph.json")
    assert "can't read" in cli.fails("import", tmp_path / "nowhere.json")
    assert "can't read" in cli.fails("import", tmp_path)
    assert "no graph in the frontend's format" in cli.fails("import", saved)
    assert "can't read" in cli.fails("export", tmp_path / "nowhere.safetensors", out, "--to", "neuronpedia")
    assert "threshold" in cli.fails("export", saved, out, "--to", "neuronpedia", "--node-threshold", 3)
    assert "slug" in cli.fails("export", saved, out, "--to", "neuronpedia", "--slug", "a b")
    assert "can't write" in cli.fails("export", saved, tmp_path / "no" / "g.pt", "--to", "circuit-tracer")
    assert "can't write" in cli.fails("import", case(ONE).json_file, "--graph", tmp_path / "no" / "g.safetensors")
    assert not out.exists()


def test_usage(cli: Cli, saved: Path, tmp_path: Path):
    assert "--to" in cli.usage("export", saved, tmp_path / "g.json")
    assert "--slug is for" in cli.usage("export", saved, tmp_path / "g.pt", "--to", "circuit-tracer", "--slug", "a")
    assert "FILE" in cli.usage("import")

"""What a corpus shows of each feature, against a plain pass over every activation; resumed builds; bad corpora."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import replacement, tiny_gemma3, tiny_llama, transcoders, with_transcoders
from tracer import Cancelled, ReplacementModel, TracerError
from tracer.dashboards import build as building
from tracer.dashboards import corpus, store
from tracer.dashboards.tally import BINS, TOP, bins_of

TEXT = "\n\n".join(" ".join(f"w{(7 * i + 3 * j * j) % 50}" for j in range(61)) for i in range(24))


@pytest.fixture(scope="module")
def model() -> ReplacementModel:
    return replacement(tiny_gemma3())


@pytest.fixture(scope="module")
def rows(model: ReplacementModel, tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text(TEXT)
    return corpus.contexts(path, model)


@pytest.fixture(scope="module")
def built(model: ReplacementModel, rows: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dashboards")
    building.build(model, rows, folder)
    return folder


def every_activation(model: ReplacementModel, rows: torch.Tensor, layer: int, feature: int) -> torch.Tensor:
    return torch.stack([model.basis.activations(model.record(row.tolist()), layer, feature) for row in rows])


def test_contexts_fill_their_rows(model: ReplacementModel, rows: torch.Tensor) -> None:
    assert rows.shape[1] == corpus.CONTEXT and len(rows) > 5
    assert (rows[:, 0] == model.token_ids("w1")[0]).all()
    assert not torch.isin(rows[:, 1:], rows[0, :1]).any()


@pytest.mark.parametrize(("layer", "feature"), [(0, 0), (1, 7), (2, 30)])
def test_examples_are_the_largest_of_all_contexts(
    model: ReplacementModel, rows: torch.Tensor, built: Path, layer: int, feature: int
) -> None:
    values = every_activation(model, rows, layer, feature)[:, 1:]
    found = store.read(built, layer, feature)
    assert found is not None
    peaks = values.max(1).values.sort(descending=True).values
    expected = peaks[peaks > 0][:TOP]
    assert [example.value for example in found.top] == pytest.approx(expected.tolist(), abs=1e-5)
    lows = values.min(1).values.sort().values
    assert found.low[0].value == pytest.approx(float(lows[0]), abs=1e-5)
    best = found.top[0]
    context = int(values.max(1).values.argmax())
    at = int(values[context].argmax()) + 1
    assert best.token_ids[best.peak] == int(rows[context, at])
    assert best.token_ids == rows[context, at - best.peak : at - best.peak + len(best.token_ids)].tolist()
    whole = every_activation(model, rows, layer, feature)[context]
    window = whole[at - best.peak : at - best.peak + len(best.values)]
    assert best.values == pytest.approx(window.tolist(), abs=2e-3)
    assert found.density == pytest.approx(float((values != 0).float().mean()))


def test_the_histogram_counts_every_fourth_token(model: ReplacementModel, rows: torch.Tensor, built: Path) -> None:
    found = store.read(built, 1, 7)
    assert found is not None
    assert sum(found.histogram) == found.n_sampled == len(rows) * 32  # of 127 tokens; none of a neuron's values is zero
    values = every_activation(model, rows, 1, 7)[:, 1:].flatten()
    assert found.rank(float(values.max()) * 8) == 0
    assert found.rank(1e-6) == pytest.approx(float((values > 2**-3).float().mean()), abs=0.12)
    peaks = [example.value for example in found.intervals]
    assert peaks == sorted(peaks, reverse=True) and len({int(bins_of(torch.tensor(v))) for v in peaks}) == len(peaks)


def test_without_a_special_token_all_tokens_count(model: ReplacementModel, rows: torch.Tensor, tmp_path: Path) -> None:
    building.build(model, rows[:4, 1:], tmp_path)
    found = store.read(tmp_path, 1, 7)
    assert found is not None and found.density == 1 and sum(found.histogram) == found.n_sampled == 4 * 32
    peaks = every_activation(model, rows[:4, 1:], 1, 7).max(1).values
    assert found.top[0].value == pytest.approx(float(peaks.max()), abs=1e-5)


def test_bins_are_doublings_of_either_sign() -> None:
    values = torch.tensor([1e-9, 0.1, 0.125, 0.26, 1.0, 1e9, -0.1, -1.0, -1e9])
    up = [0, 0, 1, 2, 4, BINS - 1]
    assert bins_of(values).tolist() == [*(BINS + b for b in up), BINS - 1, BINS - 5, 0]


@pytest.mark.parametrize("kind", [{}, {"reads": "ln2.hook_normalized", "activation": "topk"}, {"kind": "clt"}])
def test_transcoders_count_where_they_are_active(tmp_path: Path, kind: dict) -> None:
    inner = tiny_llama()
    model = with_transcoders(inner, transcoders(tmp_path / "set", inner, **kind))
    (tmp_path / "text.txt").write_text(TEXT)
    rows = corpus.contexts(tmp_path / "text.txt", model)
    building.build(model, rows, tmp_path / "out")
    values = every_activation(model, rows, 1, 3)[:, 1:]
    found = store.read(tmp_path / "out", 1, 3)
    assert found is not None and found.low == []
    assert found.density == pytest.approx(float((values != 0).float().mean()))
    expected = values.max(1).values.sort(descending=True).values
    assert [e.value for e in found.top] == pytest.approx(expected[expected > 0][:TOP].tolist(), abs=1e-5)


def test_a_stopped_build_goes_on_and_ends_the_same(
    model: ReplacementModel, rows: torch.Tensor, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "MOST_CONTEXTS", 2)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    building.build(model, rows, straight)

    def stop(_phase: str, share: float) -> None:
        if share > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        building.build(model, rows, stopped, stop)
    done = store.share(stopped, model.model_fingerprint, model.basis_fingerprint)
    assert done is not None and 0 < done < 1
    began: list[float] = []
    building.build(model, rows, stopped, lambda _phase, share: began.append(share))
    assert began[0] == done
    ends = [json.loads((folder / "meta.json").read_text()) for folder in (straight, stopped)]
    assert ends[0] == ends[1] and ends[0]["done"] == len(rows)
    for layer in range(model.n_layers):
        one, two = (load_file(folder / ends[0]["state"] / f"{layer}.safetensors") for folder in (straight, stopped))
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert [path.name for path in stopped.glob("state-*")] == [ends[0]["state"]]


def test_spoiled_files_are_no_dashboard_and_are_built_again(
    model: ReplacementModel, rows: torch.Tensor, tmp_path: Path
) -> None:
    building.build(model, rows[:4], tmp_path)
    state = json.loads((tmp_path / "meta.json").read_text())["state"]
    (tmp_path / state / "1.safetensors").write_bytes(b"spoiled")
    assert store.read(tmp_path, 1, 0) is None
    building.build(model, rows[:4], tmp_path)
    assert store.read(tmp_path, 1, 0) is not None
    (tmp_path / "meta.json").write_text('{"state": "../elsewhere"}')
    assert store.read(tmp_path, 1, 0) is None
    assert store.share(tmp_path, "another", "neurons") is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "has 0 tokens; give at least"),
        ("a.txt", b"\xff\xfe", "can't read the corpus"),
        ("a.jsonl", b'"w1"\n{', "line 2: this is no JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1: this is no JSON"),
        ("a.jsonl", b'{"body": "x"}', "line 1: give a string"),
        ("a.jsonl.gz", b"no gzip", "can't read the corpus"),
    ],
)
def test_a_bad_corpus_is_one_line(
    model: ReplacementModel, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TracerError, match=message) as caught:
        corpus.contexts(tmp_path / name, model)
    assert "\n" not in str(caught.value)


def test_the_bundled_corpus_is_small_and_in_several_languages() -> None:
    assert corpus.BUNDLED.stat().st_size < 1_000_000
    found = list(corpus.texts(corpus.BUNDLED))
    assert len(found) > 200
    whole = " ".join(found).lower()
    assert all(word in whole for word in (" the ", " les ", " que ", " und "))

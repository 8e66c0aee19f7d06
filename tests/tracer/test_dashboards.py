"""What a corpus shows of each feature, against a plain pass over every activation; resumed builds; bad corpora."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import replacement, tiny_gemma3, tiny_llama, transcoders, with_transcoders
from tracer import Cancelled, ReplacementModel, TracerError
from tracer.dashboards import build as building
from tracer.dashboards import corpus, store
from tracer.dashboards.find import firing_on
from tracer.dashboards.tally import AFTER, BEFORE, BINS, BYTES_A_FEATURE, LOW, STRIDE, TOP, Tally, bins_of

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


def test_features_are_found_by_the_tokens_that_they_fire_on(
    model: ReplacementModel, rows: torch.Tensor, built: Path
) -> None:
    word = int(rows[:, 1:].flatten().bincount().argmax())
    found = firing_on(built, lambda id: id == word, most=10_000)
    counts = {}
    for layer, feature in itertools.product(range(model.n_layers), range(model.basis.n_features)):
        board = store.read(built, layer, feature)
        assert board is not None
        peaks = [e.value for e in board.top if e.token_ids[e.peak] == word]
        if len(peaks) > 1:
            counts[layer, feature] = (len(peaks), len(board.top), max(peaks))
    assert {(f.layer, f.feature): (f.n, f.of, f.value) for f in found} == counts and len(counts) > 3
    shares = [f.n / f.of for f in found]
    assert shares == sorted(shares, reverse=True) and firing_on(built, lambda id: id == word, most=2) == found[:2]
    assert firing_on(built, lambda id: False) == [] and firing_on(built / "nowhere", lambda id: True) == []


def test_the_histogram_counts_every_fourth_token(model: ReplacementModel, rows: torch.Tensor, built: Path) -> None:
    found = store.read(built, 1, 7)
    assert found is not None
    assert sum(found.histogram) == found.n_sampled == len(rows) * 32  # of 127 tokens; none of a neuron's values is zero
    values = every_activation(model, rows, 1, 7)[:, 1:].flatten()
    assert found.rank(float(values.max()) * 8) == 0
    assert found.rank(1e-6) == pytest.approx(float((values > 2**-3).float().mean()), abs=0.12)
    peaks = [example.value for example in found.intervals]
    assert peaks == sorted(peaks, reverse=True) and len({size_of(v) for v in peaks}) == len(peaks)


def test_without_a_special_token_all_tokens_count(model: ReplacementModel, rows: torch.Tensor, tmp_path: Path) -> None:
    building.build(model, rows[:4, 1:], tmp_path)
    found = store.read(tmp_path, 1, 7)
    assert found is not None and found.density == 1 and sum(found.histogram) == found.n_sampled == 4 * 32
    peaks = every_activation(model, rows[:4, 1:], 1, 7).max(1).values
    assert found.top[0].value == pytest.approx(float(peaks.max()), abs=1e-5)


def test_bins_are_doublings_of_either_sign() -> None:
    values = np.array([1e-9, 0.1, 0.125, 0.26, 1.0, 1e9, -0.1, -1.0, -1e9], dtype=np.float32)
    up = [0, 0, 1, 2, 4, BINS - 1]
    assert bins_of(values).tolist() == [*(BINS + b for b in up), BINS - 1, BINS - 5, 0]
    assert bins_of(np.array([0.0, -0.0, np.inf, -(2.0**-126)], dtype=np.float32)).tolist() == [
        2 * BINS,
        2 * BINS,
        2 * BINS - 1,
        BINS - 1,
    ]


def size_of(value: float) -> int:
    """The bin of a value, by its logarithm."""
    size = min(max(math.floor(math.log2(abs(value))) + 4, 0), BINS - 1)
    return BINS + size if value > 0 else BINS - 1 - size


def test_a_tally_keeps_what_a_plain_pass_over_all_values_finds() -> None:
    generator, n, length, skipped, n_features = torch.Generator().manual_seed(3), 40, 23, 2, 9
    values = torch.randn(n, length, n_features, generator=generator) * torch.logspace(-2, 2, n_features)
    values[torch.rand(values.shape, generator=generator) < 0.3] = 0
    values[..., 4] = values[..., 4].abs()
    values[..., 5] = 0
    draws = torch.rand(n, n_features, generator=generator)
    tally, first = Tally(n_features), 0
    for size in (4, 1, 7, 4, 13, 11):
        tally.add(values[first : first + size], first, skipped, draws[first : first + size])
        first += size
    state, counted = tally.state, values[:, skipped:]
    assert first == n and BYTES_A_FEATURE * n_features == sum(x.nbytes for x in state.values())
    assert state["active"].tolist() == (counted != 0).sum((0, 1)).tolist()
    for f in range(n_features):
        sample = counted[:, ::STRIDE, f].flatten()
        bins = [size_of(v) for v in sample.tolist() if v != 0]
        assert state["histogram"][f].tolist() == [bins.count(b) for b in range(2 * BINS)]
        highest, lowest = counted[..., f].max(1).values, counted[..., f].min(1).values
        top, low = highest.sort(descending=True).values[:TOP], lowest.sort().values[:LOW]
        assert state["top_value"][f].sort(descending=True).values.tolist() == top.clamp(min=0).tolist()
        assert state["low_value"][f].sort().values.tolist() == low.clamp(max=0).tolist()
        sizes = torch.tensor([size_of(v) - BINS if v > 0 else -1 for v in highest.tolist()])
        for size in range(BINS):
            fit = (sizes == size).nonzero()[:, 0]
            expected = -1 if not len(fit) else int(fit[draws[fit, f].argmax()])
            assert state["interval_context"][f, size] == expected
        for kind in ("top", "low", "interval"):
            for place, context in enumerate(state[f"{kind}_context"][f].tolist()):
                if context < 0:
                    continue
                at = int(state[f"{kind}_at"][f, place])
                around = [
                    float(values[context, t, f].half()) if 0 <= t < length else 0.0
                    for t in range(at - BEFORE, at + AFTER)
                ]
                assert state[f"{kind}_window"][f, place].tolist() == around
                assert state[f"{kind}_value"][f, place] == values[context, at, f]


def test_a_context_longer_than_a_byte_counts() -> None:
    tally = Tally(3)
    tally.add(torch.ones(2, 301, 3), 0, 1, torch.rand(2, 3))
    assert tally.state["active"].tolist() == [600] * 3


def test_it_does_not_matter_how_many_contexts_pass_at_once(
    model: ReplacementModel, rows: torch.Tensor, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "MOST_CONTEXTS", 3)
    building.build(model, rows, tmp_path)
    for feature in range(0, 48, 5):
        four, three = store.read(built, 1, feature), store.read(tmp_path, 1, feature)
        assert four is not None and three is not None
        for one, other in ((four.top, three.top), (four.low, three.low), (four.intervals, three.intervals)):
            assert [example.token_ids for example in one] == [example.token_ids for example in other]
        assert (four.histogram, four.density) == (three.histogram, three.density)


def test_the_pass_ends_where_the_last_layer_is_read(
    model: ReplacementModel, rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    handle = model.anatomy.final_norm.register_forward_hook(lambda *_: reached.append("final norm"))
    try:
        assert len(building._pass(model, rows[:2])) == model.n_layers
    finally:
        handle.remove()
    assert reached == []
    assert model.record(rows[0].tolist()).logits.isfinite().all()  # and leaves nothing behind


def test_what_does_not_fit_is_refused_with_its_size(
    model: ReplacementModel, rows: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = building.psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(building.psutil, "virtual_memory", lambda: room)
    with pytest.raises(TracerError, match=r"takes 0\.0 GB of memory .* choose a set with fewer features") as caught:
        building.build(model, rows, tmp_path / "new")
    assert "\n" not in str(caught.value) and not (tmp_path / "new").exists()


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

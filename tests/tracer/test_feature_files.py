"""Sets of transcoders: each published layout gives the same tensors, read in parts, within bounded memory."""

import json
import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.tracer.transcoder_sets import (
    D,
    F,
    L,
    Weights,
    gemmascope2_tensors,
    plt_tensors,
    random_weights,
    save,
    write_clt,
    write_config,
    write_gemmascope,
    write_gemmascope2_clt,
    write_gemmascope2_plt,
    write_npz,
    write_plt,
)
from tracer.errors import Cancelled
from tracer.features import tensors as reading
from tracer.features.files import TranscoderFiles, open_transcoders
from tracer.features.npz import converted_folder

LAYOUTS: dict[str, tuple[Callable, str, bool]] = {  # how it is written, kind, skip
    "circuit-tracer PLT": (write_plt, "plt", True),
    "circuit-tracer CLT": (write_clt, "clt", True),
    "GemmaScope": (write_gemmascope, "plt", False),
    "GemmaScope-2 PLT": (write_gemmascope2_plt, "plt", True),
    "GemmaScope-2 CLT": (write_gemmascope2_clt, "clt", True),
}
MIXED = torch.tensor([5, 23, 0, 6, 5, 7, 1])  # neighbours, both ends, one twice, no order


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[Path], TranscoderFiles]:
    return lambda folder: open_transcoders(str(folder), tmp_path / "store")


def encoder(files: TranscoderFiles, layer: int, rows: int = 4096) -> Tensor:
    blocks = list(files.encoder_blocks(layer, rows))
    assert [first for first, _ in blocks] == list(range(0, files.n_features, rows))
    return torch.cat([block for _, block in blocks])


def check_same(files: TranscoderFiles, weights: Weights, exact: bool = True) -> None:
    same = torch.equal if exact else lambda a, b: torch.allclose(a, b, atol=0.02, rtol=0.01)
    for layer in range(L):
        for tensor in (
            found := [
                encoder(files, layer),
                files.encoder_rows(layer, MIXED),
                files.decoder_rows(layer, MIXED),
                files.encoder_bias(layer),
                files.decoder_bias(layer),
            ]
        ):
            assert tensor.dtype == torch.float32
        expected = [
            weights.encoder[layer],
            weights.encoder[layer][MIXED],
            weights.decoder[layer][MIXED],
            weights.encoder_bias[layer],
            weights.decoder_bias[layer],
        ]
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))
        for part, all_layers in ((files.threshold(layer), weights.threshold), (files.skip(layer), weights.skip)):
            assert (part is None) == (all_layers is None)
            assert part is None or same(part, all_layers[layer])


# Layouts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_tensors(layout: str, tmp_path: Path, opened: Callable) -> None:
    write, kind, skip = LAYOUTS[layout]
    weights = random_weights(kind, skip=skip)
    files = opened(write(tmp_path / "set", weights))
    assert (files.kind, files.activation, files.k) == (kind, "jumprelu", None)
    assert (files.n_layers, files.n_features, files.d_model) == (L, F, D)
    assert files.name == str(tmp_path / "set")
    check_same(files, weights)


@pytest.mark.parametrize("layout", ["circuit-tracer PLT", "circuit-tracer CLT"])
def test_without_thresholds_and_skips(layout: str, tmp_path: Path, opened: Callable) -> None:
    write, kind, _ = LAYOUTS[layout]
    weights = random_weights(kind, threshold=False, skip=False)
    files = opened(write(tmp_path / "set", weights))
    assert files.activation == "relu"
    check_same(files, weights)


@pytest.mark.parametrize(
    ("layout", "hooks", "model"),
    [
        ("circuit-tracer PLT", ("mlp.hook_in", "mlp.hook_out"), "org/base"),
        ("GemmaScope", ("ln2.hook_normalized", "hook_mlp_out"), None),
        ("GemmaScope-2 PLT", ("mlp.hook_in", "hook_mlp_out"), None),
        ("GemmaScope-2 CLT", ("mlp.hook_in", "hook_mlp_out"), None),
    ],
)
def test_where_a_set_reads_and_writes(
    layout: str, hooks: tuple[str, str], model: str | None, tmp_path: Path, opened: Callable
) -> None:
    write, kind, skip = LAYOUTS[layout]
    folder = write(tmp_path / "set", random_weights(kind, skip=skip))
    files = opened(folder)
    assert (files.feature_input_hook, files.feature_output_hook) == hooks
    assert files.model_name == model
    write_config(
        folder, feature_input_hook="hook_resid_mid", feature_output_hook="mlp.hook_out", model_name="org/other",
        model_kind={"plt": "transcoder_set", "clt": "cross_layer_transcoder"}[kind],
    )  # fmt: skip
    files = opened(folder)
    assert (files.feature_input_hook, files.feature_output_hook) == ("hook_resid_mid", "mlp.hook_out")
    assert files.model_name == "org/other"


def test_skip_of_a_plt_is_turned_round_and_of_a_clt_is_not(tmp_path: Path, opened: Callable) -> None:
    x = torch.arange(2.0 * D).reshape(2, D)  # whole numbers: the products are exact
    weights = random_weights("plt")
    weights.skip = [skip.round() for skip in weights.skip]
    stored = load_file(write_plt(tmp_path / "plt", weights) / "layer_1.safetensors")["W_skip"]
    assert torch.equal(x @ opened(tmp_path / "plt").skip(1), x @ stored.T)
    weights = random_weights("clt")
    weights.skip = [skip.round() for skip in weights.skip]
    stored = load_file(write_clt(tmp_path / "clt", weights) / "W_enc_1.safetensors")["W_skip_1"]
    assert torch.equal(x @ opened(tmp_path / "clt").skip(1), x @ stored)


@pytest.mark.parametrize("layout", ["circuit-tracer CLT", "GemmaScope-2 CLT"])
def test_slot_j_of_a_clt_writes_to_layer_plus_j(layout: str, tmp_path: Path, opened: Callable) -> None:
    weights = random_weights("clt")
    for layer, decoder in enumerate(weights.decoder):
        decoder[:] = torch.arange(layer, L)[None, :, None].float()  # the number of the layer it writes to
    files = opened(LAYOUTS[layout][0](tmp_path / "set", weights))
    for layer in range(L):
        written = files.decoder_rows(layer, torch.tensor([3, 3, 1]))
        assert written.shape == (3, L - layer, D)
        assert written[0, :, 0].tolist() == list(range(layer, L))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("layout", ["circuit-tracer CLT", "GemmaScope-2 PLT"])
def test_other_precisions_come_back_in_float32(
    layout: str, dtype: torch.dtype, tmp_path: Path, opened: Callable
) -> None:
    write, kind, _ = LAYOUTS[layout]
    weights = random_weights(kind)
    folder = write(tmp_path / "set", weights)
    for path in folder.rglob("*.safetensors"):
        save({name: tensor.to(dtype) for name, tensor in load_file(path).items()}, path)
    check_same(opened(folder), weights, exact=False)
    value = opened(folder).encoder_rows(0, torch.tensor([2]))[0]
    assert torch.equal(value, weights.encoder[0][2].to(dtype).float())


@pytest.mark.parametrize("shape", [(), (1,)])
def test_threshold_of_one_number_is_expanded(shape: tuple[int, ...], tmp_path: Path, opened: Callable) -> None:
    weights = random_weights()
    weights.threshold = [torch.full(shape, 0.5 + layer) for layer in range(L)]
    assert torch.equal(opened(write_plt(tmp_path, weights)).threshold(2), torch.full((F,), 2.5))


# What config.yaml lists


def test_place_in_the_list_is_the_layer(tmp_path: Path, opened: Callable) -> None:
    weights = random_weights()
    for layer, name in enumerate(("c.safetensors", "deep/er/a.safetensors", "layer_0.safetensors")):
        save(plt_tensors(weights, layer), tmp_path / name)
    write_config(tmp_path, transcoders=["c.safetensors", "deep/er/a.safetensors", "./layer_0.safetensors"])
    check_same(opened(tmp_path), weights)


def test_list_of_archives_of_differing_names(tmp_path: Path, opened: Callable) -> None:
    weights = random_weights(skip=False)
    names = [f"layer_{layer}/average_l0_{l0}/params.npz" for layer, l0 in enumerate((76, 65, 9))]
    for layer, name in enumerate(names):
        write_npz(tmp_path / name, weights, layer)
    write_npz(tmp_path / "layer_1/average_l0_300/params.npz", weights, 0)  # another of layer 1, not chosen
    write_config(tmp_path, transcoders=names, feature_input_hook=None, feature_output_hook="hook_mlp_out")
    files = opened(tmp_path)
    assert (files.feature_input_hook, files.model_name) == ("ln2.hook_normalized", "org/base")
    check_same(files, weights)


@pytest.mark.parametrize("there", [True, False])
def test_terminal_entry_of_a_gemmascope2_clt_is_tolerated(there: bool, tmp_path: Path, opened: Callable) -> None:
    weights = random_weights("clt")
    write_gemmascope2_clt(tmp_path, weights)
    if there:
        shutil.copy(tmp_path / "params_layer_0.safetensors", tmp_path / f"params_layer_{L}.safetensors")
        check_same(opened(tmp_path), weights)
    write_config(
        tmp_path,
        model_kind="cross_layer_transcoder",
        transcoders=[f"params_layer_{layer}.safetensors" for layer in range(L + 1)],
    )
    check_same(opened(tmp_path), weights)


def test_gemmascope2_with_its_description(tmp_path: Path, opened: Callable) -> None:
    write_gemmascope2_plt(tmp_path, random_weights())
    (tmp_path / "layer_0_width_24_l0_small_affine/config.json").write_text(
        json.dumps({"hf_hook_point_in": "model.layers.0.pre_feedforward_layernorm.output",
                    "hf_hook_point_out": "model.layers.0.post_feedforward_layernorm.output",
                    "model_name": "google/gemma-3-270m", "architecture": "jump_relu", "type": "transcoder"})
    )  # fmt: skip
    assert opened(tmp_path).model_name == "google/gemma-3-270m"


# Activations


@pytest.mark.parametrize(
    ("settings", "extra", "expected"),
    [
        ({"activation": "topk", "k": 4}, {}, ("topk", 4)),
        ({"activation": "topk"}, {"k": torch.tensor(5)}, ("topk", 5)),
        ({}, {"k": torch.tensor([6])}, ("topk", 6)),  # as circuit-tracer saves one: its own loader refuses it
        ({"activation": "topk", "k": 4}, {"k": torch.tensor(5)}, ("topk", 4)),
        ({"activation": "relu"}, {}, ("relu", None)),
        ({"scan": "org/elsewhere"}, {}, ("relu", None)),
    ],
)
def test_activation_without_thresholds(
    settings: dict, extra: dict, expected: tuple[str, int | None], tmp_path: Path, opened: Callable
) -> None:
    weights = random_weights(threshold=False)
    write_plt(tmp_path, weights, **settings)
    for layer in range(L):
        save(plt_tensors(weights, layer) | extra, tmp_path / f"layer_{layer}.safetensors")
    files = opened(tmp_path)
    assert (files.activation, files.k) == expected


@pytest.mark.parametrize("activation", ["jumprelu", "jump_relu", None])
def test_activation_with_thresholds(activation: str | None, tmp_path: Path, opened: Callable) -> None:
    assert opened(write_plt(tmp_path, random_weights(), activation=activation)).activation == "jumprelu"


@pytest.mark.parametrize("scan", ["facebook/crv-8b-instruct-transcoders", "facebook/crv-8b-instruct-transcoders@main"])
def test_topk_set_that_does_not_say_so(scan: str, tmp_path: Path, opened: Callable) -> None:
    weights = random_weights(threshold=False)
    wide = {"encoder": 6, "decoder": 6, "encoder_bias": 6}  # 144 features: enough for its k
    for part, times in wide.items():
        setattr(weights, part, [torch.cat([tensor] * times) for tensor in getattr(weights, part)])
    files = opened(write_plt(tmp_path, weights, scan=scan))
    assert (files.activation, files.k) == ("topk", 128)


# Reading in parts


@pytest.mark.parametrize("layout", ["circuit-tracer PLT", "GemmaScope-2 PLT"])
@pytest.mark.parametrize("rows", [1, 7, 24, 100])
def test_encoder_blocks(layout: str, rows: int, tmp_path: Path, opened: Callable) -> None:
    weights = random_weights()
    files = opened(LAYOUTS[layout][0](tmp_path, weights))
    assert torch.equal(encoder(files, 1, rows), weights.encoder[1])
    assert all(len(block) <= rows for _, block in files.encoder_blocks(1, rows))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("block", [1, 200])
def test_any_size_of_block_gives_the_same(
    layout: str, block: int, tmp_path: Path, opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, kind, skip = LAYOUTS[layout]
    weights = random_weights(kind, skip=skip)
    files = opened(write(tmp_path, weights))
    monkeypatch.setattr(reading, "BLOCK", block)
    check_same(files, weights)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_features_and_features_out_of_range(layout: str, tmp_path: Path, opened: Callable) -> None:
    write, kind, skip = LAYOUTS[layout]
    files = opened(write(tmp_path, random_weights(kind, skip=skip)))
    none = torch.tensor([], dtype=torch.int64)
    assert files.encoder_rows(1, none).shape == (0, D)
    assert files.decoder_rows(1, none).shape == ((0, D) if kind == "plt" else (0, L - 1, D))
    for wrong in (-1, F):
        with pytest.raises(IndexError):
            files.encoder_rows(1, torch.tensor([0, wrong]))
        with pytest.raises(IndexError):
            files.decoder_rows(1, torch.tensor([wrong, 0]))


def test_row_wanted_often_is_read_once(tmp_path: Path, opened: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    files = opened(write_plt(tmp_path, random_weights()))
    read = []
    plain = reading._read_into
    monkeypatch.setattr(reading, "_read_into", lambda memory, *rest: (read.append(len(memory)), plain(memory, *rest)))
    files.decoder_rows(0, torch.tensor([9, 4, 9, 3, 9, 20, 5]))
    assert sorted(read) == [4 * D, 4 * D, 3 * 4 * D]  # 9; 20; 3 to 5 at once


def sparse(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of zeros that takes no room on the disk."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(torch.tensor(shape).prod())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def peak_memory() -> int:
    """Bytes; the highest since the last call of forget_peak()."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system can't measure the peak of a part of a process")


@pytest.mark.parametrize("layout", ["circuit-tracer CLT", "GemmaScope-2 CLT"])
def test_memory_stays_bounded_by_what_is_asked(layout: str, tmp_path: Path, opened: Callable) -> None:
    f, d = 1 << 19, 64  # an encoder of 134 MB, a decoder of 268 MB
    if layout == "circuit-tracer CLT":
        for i, slots in enumerate((2, 1)):
            sparse(tmp_path / f"W_enc_{i}.safetensors", {f"W_enc_{i}": (f, d), f"b_enc_{i}": (f,), f"b_dec_{i}": (d,)})
            sparse(tmp_path / f"W_dec_{i}.safetensors", {f"W_dec_{i}": (f, slots, d)})
        write_config(tmp_path, model_kind="cross_layer_transcoder")
    else:
        shapes = {"w_enc": (d, f), "w_dec": (f, 2, d), "b_enc": (f,), "b_dec": (d,)}
        for i in range(2):
            sparse(tmp_path / f"params_layer_{i}.safetensors", shapes)
    some = torch.randint(0, f, (2000,))
    files = opened(tmp_path)
    files.decoder_rows(0, some[:5])
    forget_peak()
    before = peak_memory()
    assert sum(len(block) for _, block in files.encoder_blocks(0)) == f
    files.encoder_rows(0, some)
    files.decoder_rows(0, some)
    files.decoder_rows(1, some.sort().values)
    assert peak_memory() - before < 100e6  # two blocks of 34 MB, and the rows


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="this system doesn't list its maps")
def test_no_file_stays_mapped(tmp_path: Path, opened: Callable) -> None:
    def mapped() -> bool:
        return str(tmp_path) in Path("/proc/self/maps").read_text()

    files = opened(write_plt(tmp_path, random_weights()))
    blocks = files.encoder_blocks(0, 5)
    kept = [next(blocks), files.encoder_rows(0, MIXED), files.decoder_rows(0, MIXED), files.encoder_bias(0)]
    assert kept and not mapped()
    with open(tmp_path / "layer_0.safetensors", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        assert mapped()  # it would be seen


# Fingerprint


def fingerprints(folder: Path, store: Path) -> str:
    return open_transcoders(str(folder), store).fingerprint


def test_fingerprint_follows_every_value_and_the_configuration(tmp_path: Path) -> None:
    folder = write_plt(tmp_path / "set", random_weights())
    first = fingerprints(folder, tmp_path)
    assert len(first) == 64 and fingerprints(folder, tmp_path) == first
    moved = folder.rename(tmp_path / "elsewhere")
    assert fingerprints(moved, tmp_path) == first
    weights = load_file(moved / "layer_1.safetensors")
    weights["W_dec"][3, 5] += 1e-3
    save_file(weights, moved / "layer_1.safetensors")
    second = fingerprints(moved, tmp_path)
    write_config(moved, feature_output_hook="hook_mlp_out")
    assert len({first, second, fingerprints(moved, tmp_path)}) == 3


def test_fingerprint_of_a_file_too_large_to_be_read_whole(tmp_path: Path, opened: Callable) -> None:
    f, d = 1 << 16, 64
    sparse(tmp_path / "layer_0.safetensors", {"W_enc": (f, d), "W_dec": (f, d), "b_enc": (f,), "b_dec": (d,)})
    write_config(tmp_path)
    files = opened(tmp_path)
    time = (tmp_path / "layer_0.safetensors").stat().st_mtime_ns
    with (tmp_path / "layer_0.safetensors").open("r+b") as file:
        file.seek(files.layers[0].decoder.offset + 1_000_003 * 4)
        file.write(b"\1\2\3\4")
    assert opened(tmp_path).fingerprint != files.fingerprint
    changed = opened(tmp_path).fingerprint
    os.utime(tmp_path / "layer_0.safetensors", ns=(time, time))
    with (tmp_path / "layer_0.safetensors").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\1\2\3\4")
    os.utime(tmp_path / "layer_0.safetensors", ns=(time, time))
    assert len({files.fingerprint, changed, opened(tmp_path).fingerprint}) == 3


# GemmaScope's archives are converted


def phases_of(reference: Path, store: Path) -> list[str]:
    phases: list[str] = []
    open_transcoders(str(reference), store, lambda phase, fraction: phases.append(phase))
    return phases


def test_archives_are_converted_once(tmp_path: Path) -> None:
    folder, store = write_gemmascope(tmp_path / "set", random_weights(skip=False)), tmp_path / "store"
    assert "convert" in phases_of(folder, store)
    assert "convert" not in phases_of(folder, store)
    kept = [path for path in store.iterdir() if path.suffix != ".lock"]
    assert kept == [converted_folder(fingerprints(folder, store), store)]
    names = ["config.yaml", *(f"layer_{i}.safetensors" for i in range(L))]
    assert sorted(path.name for path in kept[0].iterdir()) == names


def test_changed_archives_are_converted_anew(tmp_path: Path, opened: Callable) -> None:
    folder = write_gemmascope(tmp_path / "set", random_weights(skip=False))
    before = opened(folder)
    other = random_weights(skip=False, seed=1)
    write_gemmascope(folder, other)
    check_same(opened(folder), other)
    assert opened(folder).fingerprint != before.fingerprint


@pytest.mark.parametrize("spoil", ["layer_1.safetensors", "config.yaml", "everything"])
def test_spoiled_conversion_is_made_again(spoil: str, tmp_path: Path, opened: Callable) -> None:
    weights = random_weights(skip=False)
    folder = write_gemmascope(tmp_path / "set", weights)
    converted = converted_folder(opened(folder).fingerprint, tmp_path / "store")
    for path in converted.iterdir():
        if spoil in (path.name, "everything"):
            path.unlink()
    check_same(opened(folder), weights)


def test_cancelled_conversion_leaves_nothing(tmp_path: Path) -> None:
    folder, store = write_gemmascope(tmp_path / "set", random_weights(skip=False)), tmp_path / "store"

    def stop(phase: str, fraction: float) -> None:
        if phase == "convert" and fraction > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        open_transcoders(str(folder), store, stop)
    assert [path for path in store.iterdir() if path.suffix != ".lock"] == []


def test_gemmascope2_names_are_not_what_decides(tmp_path: Path, opened: Callable) -> None:
    weights = random_weights()
    for layer in range(L):  # its tensors in files that are called as circuit-tracer's
        save(gemmascope2_tensors(weights, layer), tmp_path / f"layer_{layer}.safetensors")
    check_same(opened(tmp_path), weights)

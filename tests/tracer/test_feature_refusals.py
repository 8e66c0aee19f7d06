"""Bad sets of transcoders: each is refused with one line that says what to do, and nothing in them is executed."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.tracer.transcoder_sets import (
    D,
    F,
    L,
    gemmascope2_tensors,
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
from tracer.errors import TracerError
from tracer.features.files import open_transcoders

Spoil = Callable[[Path], Any]


class Bomb:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def bomb(folder: Path) -> Bomb:
    return Bomb(folder.parent / "it ran")


def refusal(folder: object, store: Path) -> str:
    with pytest.raises(TracerError) as caught:
        open_transcoders(str(folder), store)
    return one_line(caught.value)


def one_line(problem: TracerError) -> str:
    message = str(problem)
    assert "\n" not in message and len(message) < 600  # paths of tests are long
    return message


def change(name: str, **tensors: torch.Tensor | None) -> Spoil:
    """Put other tensors into a file, or take some out."""

    def spoil(folder: Path) -> None:
        known = {key.replace(".", "_"): key for key in load_file(folder / name)}
        before = load_file(folder / name)
        after = before | {known.get(key, key): tensor for key, tensor in tensors.items()}
        (folder / name).unlink()
        save({key: tensor for key, tensor in after.items() if tensor is not None}, folder / name)

    return spoil


def configure(text: str | bytes) -> Spoil:
    return lambda folder: (folder / "config.yaml").write_bytes(text.encode() if isinstance(text, str) else text)


def settings(**changes: Any) -> Spoil:
    return lambda folder: write_config(folder, **changes)


def cut_short(name: str, keep: float) -> Spoil:
    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(keep * len(data))])

    return spoil


def unlink(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def link(name: str, target: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder.parent / "outside").write_bytes((folder / "layer_1.safetensors").read_bytes())
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return spoil


def with_nan(*shape: int, value: float = float("nan")) -> torch.Tensor:
    tensor = torch.ones(shape)
    tensor.view(-1)[-1] = value
    return tensor


ONE = "layer_1.safetensors"
HOOKS = "feature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
SPOILED: dict[str, tuple[Spoil, str]] = {
    "cut short": (cut_short(ONE, 0.7), "no whole safetensors file"),
    "cut in its header": (cut_short(ONE, 0.01), "no whole safetensors file"),
    "empty file": (cut_short(ONE, 0), "no whole safetensors file"),
    "pickle": (lambda f: (f / ONE).write_bytes(pickle.dumps(bomb(f))), "no whole safetensors file"),
    "torch.save": (lambda f: torch.save({"W_enc": bomb(f)}, f / ONE), "no whole safetensors file"),
    "layer missing": (unlink(ONE), "lacks layer_1.safetensors; download the set again"),
    "first layer missing": (unlink("layer_0.safetensors"), "lacks layer_0.safetensors"),
    "tensor missing": (change(ONE, W_dec=None), "lacks W_dec"),
    "encoder missing": (change(ONE, W_enc=None), "holds no transcoder of layer 1, only 'W_dec"),
    "shape of a bias": (change(ONE, b_enc=torch.ones(F + 1)), f"b_enc has the shape ({F + 1},), not ({F},)"),
    "shape of the encoder": (change(ONE, W_enc=torch.ones(D, F)), f"W_enc has the shape ({D}, {F}), not ({F}, {D})"),
    "shape of the skip": (change(ONE, W_skip=torch.ones(D, 1)), f"W_skip has the shape ({D}, 1), not ({D}, {D})"),
    "shape of thresholds": (change(ONE, activation_function_threshold=torch.ones(2)), "threshold has the shape (2,)"),
    "decoder without features": (change(ONE, W_dec=torch.ones(0, D)), f"W_dec has the shape (0, {D})"),
    "decoder of one number": (change(ONE, W_dec=torch.tensor(1.0)), "W_dec has the shape ()"),
    "narrower layer": (
        change(ONE, W_enc=torch.ones(F, 4), W_dec=torch.ones(F, 4), b_dec=torch.ones(4), W_skip=torch.ones(4, 4)),
        f"layer 1 has {F} features of width 4 (PLT), layer 0 has {F} features of width {D} (PLT)",
    ),
    "layer with fewer features": (
        change(ONE, W_enc=torch.ones(5, D), W_dec=torch.ones(5, D), b_enc=torch.ones(5)),
        f"layer 1 has 5 features of width {D} (PLT)",
    ),
    "NaN in a bias": (change(ONE, b_enc=with_nan(F)), "b_enc holds values that are not finite"),
    "infinite bias": (change(ONE, b_dec=with_nan(D, value=float("-inf"))), "b_dec holds values that are not finite"),
    "NaN threshold": (change(ONE, activation_function_threshold=with_nan(F)), "threshold holds values that are not"),
    "threshold of some layers": (change(ONE, activation_function_threshold=None), "layer 1 has no threshold, others"),
    "skip of some layers": (change(ONE, W_skip=None), "layer 1 has no skip, others of its set do"),
    "whole numbers": (change(ONE, W_enc=torch.ones(F, D, dtype=torch.int64)), "weights must be floating point"),
    "unknown type of number": (
        change(ONE, W_dec=torch.ones(F, D).to(torch.float8_e4m3fn)),
        "W_dec is stored as F8_E4M3, which can't be read; convert it to float32",
    ),
    "unknown activation": (settings(activation="gelu"), "'gelu' is not known; known are relu, jumprelu, topk"),
    "activation that is none": (settings(activation=["relu"]), "known are relu, jumprelu, topk"),
    "ReLU with thresholds": (settings(activation="relu"), "holds thresholds, but config.yaml says activation: relu"),
    "unknown kind": (settings(model_kind="sae"), "'sae' is not known; known are transcoder_set, cross_layer_trans"),
    "kind that is none": (settings(model_kind=[1]), "model_kind [1] is not known; known are transcoder_set"),
    "other kind": (settings(model_kind="cross_layer_transcoder"), "but the files hold a PLT; correct it"),
    "unknown input": (settings(feature_input_hook="hook_q"), "'hook_q' is not known; known are hook_resid_mid"),
    "unknown output": (settings(feature_output_hook="mlp.hook_in"), "known are mlp.hook_out, hook_mlp_out"),
    "hook that is none": (settings(feature_output_hook={"a": 1}), "known are mlp.hook_out, hook_mlp_out"),
    "no hooks": (settings(feature_input_hook=None), "has no config.yaml that says feature_input_hook; write one"),
    "no configuration": (unlink("config.yaml"), "has no config.yaml that says feature_input_hook; write one"),
    "empty configuration": (configure(""), "holds no keys"),
    "list for configuration": (configure("- a"), "holds no keys"),
    "no YAML": (configure("a: [1"), "is no plain YAML"),
    "no text": (configure(b"\xfa\x00"), "is no plain YAML"),
    "tag of Python": (
        lambda f: configure(f"model_kind: !!python/object/apply:pathlib.Path.touch [{f.parent / 'it ran'}]")(f),
        "is no plain YAML",
    ),
    "object of Python": (configure("a: !!python/name:os.system ''"), "is no plain YAML"),
    "date that is none": (configure("a: 2020-99-99"), "is no plain YAML"),
    "number without an end": (configure("k: " + "9" * 5000), "is no plain YAML"),
    "huge configuration": (configure("a: b\n" * 60_000), "is larger than 256 KB"),
    "deep configuration": (configure("a: " + "[" * 100_000), "is nested too deeply"),
    "configuration that multiplies": (
        configure("a: &a {x: 1}\n" + "b: &b {<<: [*a, *a]}\n" * 20),
        "refers to itself; write it as a plain list of keys",
    ),
    "list that is none": (settings(transcoders="layer_0.safetensors"), "transcoders: should be a list of files"),
    "empty list": (settings(transcoders=[]), "transcoders: should be a list of files"),
    "list of numbers": (settings(transcoders=[1, 2]), "transcoders: should be a list of files"),
    "entry that isn't there": (settings(transcoders=["layer_9.safetensors"]), "lacks 'layer_9.safetensors'"),
    "entry that is a folder": (settings(transcoders=["."]), "lacks '.'"),
    "entry above": (settings(transcoders=["../outside"]), "'../outside', which leads out of its folder; copy the"),
    "entry by way of a folder": (settings(transcoders=["a/../../outside"]), "leads out of its folder; copy the file"),
    "absolute entry": (settings(transcoders=["/etc/passwd"]), "'/etc/passwd', which leads out of its folder"),
    "entry at home": (settings(transcoders=["~/.netrc"]), "'~/.netrc', which leads out of its folder"),
    "entry with a null byte": (settings(transcoders=["a\0b"]), r"lacks 'a\x00b'"),
    "long entry": (settings(transcoders=["x" * 5000]), "see to its name and rights"),
    "Hub entry without a file": (settings(transcoders=["hf://org/repo"]), "should be hf://org/name/file"),
    "Hub entry that climbs": (settings(transcoders=["hf://org/repo/../x"]), "should be hf://org/name/file"),
    "link out of the folder": (link(ONE, "../outside"), "leads out of its folder; copy the file into the folder"),
    "link in a circle": (link(ONE, ONE), "lacks 'layer_1.safetensors'"),
    "configuration in a circle": (link("config.yaml", "config.yaml"), "lacks 'config.yaml'"),
    "named pipe": (lambda f: ((f / ONE).unlink(), os.mkfifo(f / ONE)), "lacks 'layer_1.safetensors'"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_set(name: str, tmp_path: Path) -> None:
    spoil, says = SPOILED[name]
    folder = write_plt(tmp_path / "set", random_weights())
    open_transcoders(str(folder), tmp_path)
    spoil(folder)
    assert says in refusal(folder, tmp_path)
    assert not (tmp_path / "it ran").exists()


def test_the_bomb_would_have_been_seen(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(bomb(tmp_path / "set")))
    assert (tmp_path / "it ran").exists()


@pytest.mark.parametrize("k", [None, 0, -1, F + 1, True, "4", 2.0])
def test_k_of_a_topk(k: object, tmp_path: Path) -> None:
    folder = write_plt(tmp_path / "set", random_weights(threshold=False), activation="topk", k=k)
    assert f"needs k, a whole number from 1 to {F}, in config.yaml, not {k!r}" in refusal(folder, tmp_path)


def test_jumprelu_without_thresholds(tmp_path: Path) -> None:
    folder = write_plt(tmp_path / "set", random_weights(threshold=False), activation="jumprelu")
    assert "holds no thresholds, but config.yaml says activation: jumprelu" in refusal(folder, tmp_path)


CLT: dict[str, tuple[Spoil, str]] = {
    "decoder missing": (unlink("W_dec_1.safetensors"), "lacks W_dec_1.safetensors"),
    "encoder missing": (unlink("W_enc_1.safetensors"), "lacks W_enc_1.safetensors"),
    "last layer missing": (
        lambda f: [(f / f"W_{part}_{L - 1}.safetensors").unlink() for part in ("enc", "dec")],
        f"W_dec_0 writes to {L} layers, but with {L - 1} layers there it should be {L - 1}",
    ),
    "too few slots": (change("W_dec_1.safetensors", W_dec_1=torch.ones(F, 1, D)), "W_dec_1 writes to 1 layers"),
    "decoder of a PLT": (change("W_dec_1.safetensors", W_dec_1=torch.ones(F, D)), "(PLT), layer 0 has"),
    "bias missing": (change("W_enc_2.safetensors", b_dec_2=None), "W_enc_2.safetensors lacks b_dec_2"),
    "tensor of another layer": (
        change("W_enc_1.safetensors", W_enc_1=None, W_enc_0=torch.ones(F, D)),
        "holds no transcoder of layer 1",
    ),
    "threshold of some layers": (change("W_enc_2.safetensors", threshold_2=None), "layer 2 has no threshold"),
}


@pytest.mark.parametrize("name", CLT)
def test_spoiled_clt(name: str, tmp_path: Path) -> None:
    spoil, says = CLT[name]
    folder = write_clt(tmp_path / "set", random_weights("clt"))
    spoil(folder)
    assert says in refusal(folder, tmp_path)


ARCHIVE = "layer_1/width_24/average_l0_61/params.npz"


def archive(**arrays: object) -> Spoil:
    return lambda folder: write_npz(folder / ARCHIVE, random_weights(), 1, **arrays)


def single_array(folder: Path) -> None:
    with (folder / ARCHIVE).open("wb") as file:
        np.save(file, np.ones(3))


ARCHIVES: dict[str, tuple[Spoil, str]] = {
    "pickle": (lambda f: (f / ARCHIVE).write_bytes(pickle.dumps(bomb(f))), "no whole archive of plain arrays"),
    "objects": (
        lambda f: write_npz(f / ARCHIVE, random_weights(), 1, W_enc=np.array([bomb(f)], dtype=object)),
        "no whole archive of plain arrays",
    ),
    "cut short": (cut_short(ARCHIVE, 0.7), "no whole archive of plain arrays"),
    "empty": (cut_short(ARCHIVE, 0), "no whole archive of plain arrays"),
    "single array": (single_array, "no whole archive of plain arrays"),
    "array missing": (archive(W_dec=None), "lacks W_dec; download it again"),
    "not turned": (archive(W_enc=np.ones((F, D))), f"W_enc has the shape ({F}, {D}), W_dec ({F}, {D})"),
    "one axis": (archive(b_enc=np.ones((F, 2))), "b_enc has the shape"),
    "NaN": (archive(W_dec=np.full((F, D), np.nan)), "holds values that are not finite"),
    "beyond float32": (archive(W_dec=np.full((F, D), 1e300)), "holds values that are not finite"),
    "whole numbers": (archive(W_dec=np.ones((F, D), dtype=int)), "holds int64, where weights must be floating point"),
    "text": (archive(b_dec=np.array(["a"] * D)), "where weights must be floating point"),
    "several of a layer": (
        lambda f: write_npz(f / "layer_1/width_65/params.npz", random_weights(), 1),
        "holds several transcoders for layer 1 (layer_1/width_24/average_l0_61/params.npz, layer_1/width_65/params.npz)"
        "; choose by a config.yaml with a list transcoders:",
    ),
    "layer missing": (unlink(ARCHIVE), "lacks layer_1/"),
    "link to a folder": (
        lambda f: (shutil.rmtree(f / "layer_1"), (f / "layer_1").symlink_to(f / "layer_0")),
        "lacks layer_1/",
    ),
    "kind of another": (settings(model_kind="cross_layer_transcoder"), "but the files hold a PLT"),
    "unknown hook": (settings(feature_input_hook="hook_q"), "'hook_q' is not known"),
    "mixed": (
        lambda f: (
            write_plt(f, random_weights()),
            write_config(f, transcoders=["layer_0.safetensors", ARCHIVE]),
        ),
        "mixes .npz and .safetensors",
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_spoiled_archive(name: str, tmp_path: Path) -> None:
    spoil, says = ARCHIVES[name]
    folder, store = write_gemmascope(tmp_path / "set", random_weights()), tmp_path / "store"
    spoil(folder)
    assert says in refusal(folder, store)
    assert not (tmp_path / "it ran").exists()
    if name != "one axis":  # which shows only when the converted set is opened
        assert not store.exists() or [path for path in store.iterdir() if path.suffix != ".lock"] == []


def test_store_that_cannot_be_written(tmp_path: Path) -> None:
    folder = write_gemmascope(tmp_path / "set", random_weights())
    (tmp_path / "file").write_text("")
    message = refusal(folder, tmp_path / "file")
    assert "can't write" in message and "HYPOGRAPH_HOME" in message


def test_too_little_room_for_the_converted_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_gemmascope(tmp_path / "set", random_weights())
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 4000})())
    message = refusal(folder, tmp_path / "store")
    assert "needs 0.0 GB free under" in message and "make room" in message


# GemmaScope-2


def test_autoencoders_are_no_transcoders(tmp_path: Path) -> None:
    folder = write_gemmascope2_plt(tmp_path / "resid_post", random_weights())
    for point in (
        "model.layers.0.output",
        ["model.layers.0.pre_feedforward_layernorm.output", "model.layers.0.output"],
    ):
        (folder / "layer_0_width_24_l0_small_affine/config.json").write_text(json.dumps({"hf_hook_point_in": point}))
        message = refusal(folder, tmp_path)
        assert "hf_hook_point_in" in message and "no transcoders of an MLP; give the folder transcoder_all" in message


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"a": "' + "b" * 70_000 + '"}'])
def test_description_that_cannot_be_used(text: str, tmp_path: Path) -> None:
    folder = write_gemmascope2_plt(tmp_path / "set", random_weights())
    (folder / "layer_0_width_24_l0_small_affine/config.json").write_text(text)
    message = refusal(folder, tmp_path)
    assert "config.json can't be used" in message and "download it again" in message


def test_several_widths_in_a_folder(tmp_path: Path) -> None:
    folder = write_gemmascope2_plt(tmp_path / "set", random_weights())
    save(gemmascope2_tensors(random_weights(), 2), folder / "layer_2_width_65_l0_big/params.safetensors")
    message = refusal(folder, tmp_path)
    assert "holds several transcoders for layer 2 (layer_2_width_24_l0_small_affine/params.safetensors" in message


@pytest.mark.parametrize("more", [-1, 2])
def test_gemmascope2_clt_with_other_than_its_layers(more: int, tmp_path: Path) -> None:
    folder = write_gemmascope2_clt(tmp_path / "set", random_weights("clt"))
    files = [f"params_layer_{min(layer, L - 1)}.safetensors" for layer in range(L + more)]
    write_config(folder, model_kind="cross_layer_transcoder", transcoders=files)
    assert f"w_dec writes to {L} layers, but with {L + more} layers there" in refusal(folder, tmp_path)


# Folders


def test_folder_without_transcoders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no transcoders that can be read; give a folder with" in refusal(tmp_path / "empty", tmp_path)
    (tmp_path / "empty/layer_0.pt").write_bytes(b"")
    (tmp_path / "empty/layer_99999.safetensors").write_bytes(b"")
    assert "holds no transcoders that can be read; give a folder with" in refusal(tmp_path / "empty", tmp_path)


def test_folders_that_lead_in_a_circle(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_config(folder)
    (folder / "layer_0_a").symlink_to(folder)
    (folder / "layer_1").mkdir()
    (folder / "layer_1/back").symlink_to("..")
    assert "holds no transcoders that can be read" in refusal(folder, tmp_path)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert "there are no transcoders" in refusal(tmp_path / "circle", tmp_path)


def test_file_instead_of_a_folder(tmp_path: Path) -> None:
    folder = write_plt(tmp_path / "set", random_weights())
    assert "is a file; give the folder that holds the set" in refusal(folder / "config.yaml", tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("closed", ["set", "set/layer_1.safetensors", "set/config.yaml"])
def test_without_rights(closed: str, tmp_path: Path) -> None:
    write_plt(tmp_path / "set", random_weights())
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(0o755)
        if path.name.startswith("pytest-of"):
            break
    (tmp_path / closed).chmod(0)
    os.seteuid(65534)
    try:
        message = refusal(tmp_path / "set", tmp_path)
    finally:
        os.seteuid(0)
    assert str(tmp_path / "set") in message and "Permission denied" in message


# What shows only when it is read


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value: float, tmp_path: Path) -> None:
    weights = random_weights()
    weights.encoder[1][9, 2] = weights.decoder[1][9, 2] = weights.skip[1][4, 2] = value
    for folder in (write_plt(tmp_path / "a", weights), write_gemmascope2_plt(tmp_path / "b", weights)):
        files = open_transcoders(str(folder), tmp_path)
        for read in (
            lambda files=files: list(files.encoder_blocks(1, 5)),
            lambda files=files: files.encoder_rows(1, torch.tensor([3, 9])),
            lambda files=files: files.decoder_rows(1, torch.tensor([9])),
            lambda files=files: files.skip(1),
        ):
            with pytest.raises(TracerError, match="holds values that are not finite; download the set again") as caught:
                read()
            assert "1" in one_line(caught.value)
        assert files.decoder_rows(1, torch.tensor([8, 10])).isfinite().all()
        assert len(next(files.encoder_blocks(1, 5))[1]) == 5


def test_very_large_weights_are_not_taken_for_infinite(tmp_path: Path) -> None:
    weights = random_weights()
    weights.decoder[0][:] = 3e38  # their sum is not finite
    files = open_transcoders(str(write_plt(tmp_path / "set", weights)), tmp_path)
    assert torch.equal(files.decoder_rows(0, torch.arange(F)), weights.decoder[0])


def test_file_that_goes_or_shrinks_after_opening(tmp_path: Path) -> None:
    folder = write_plt(tmp_path / "set", random_weights())
    files = open_transcoders(str(folder), tmp_path)
    whole = (folder / ONE).read_bytes()
    (folder / ONE).write_bytes(whole[: files.layers[1].decoder.offset + 40])
    with pytest.raises(TracerError, match="was cut short since it was opened; download or copy it again") as caught:
        files.decoder_rows(1, torch.tensor([0, 20]))
    assert str(folder / ONE) in one_line(caught.value)
    (folder / ONE).unlink()
    with pytest.raises(TracerError, match="see that it is there, then load the set again") as caught:
        files.encoder_bias(1)
    assert str(folder / ONE) in one_line(caught.value)
    assert files.encoder_bias(0).shape == (F,)

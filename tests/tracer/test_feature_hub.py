"""Sets of transcoders on the Hub: references, lists that point elsewhere, and everything that can be refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import _tree_cache, constants

from tests.tracer import fake_hub as hub_module
from tests.tracer.fake_hub import COMMIT, fake_hub, on_line
from tests.tracer.transcoder_sets import (
    L,
    gemmascope2_tensors,
    random_weights,
    save,
    write_config,
    write_gemmascope,
    write_gemmascope2_clt,
    write_gemmascope2_plt,
    write_plt,
)
from tracer import hub
from tracer.errors import Progress, TracerError, silent
from tracer.features.files import TranscoderFiles, open_transcoders


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go on line, to a Hub at an address, with an empty cache."""
    return on_line(tmp_path, monkeypatch)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., TranscoderFiles]:
    def open_(reference: str, progress: Progress = silent) -> TranscoderFiles:
        return open_transcoders(reference, tmp_path / "store", progress)

    return open_


def refusal(reference: str, store: Path) -> str:
    with pytest.raises(TracerError) as caught:
        open_transcoders(reference, store)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


def cached(tmp_path: Path) -> set[str]:
    """What of all repositories was downloaded."""
    return {
        str(path.relative_to(tmp_path / "hub")).split(f"snapshots/{COMMIT}/")[1]
        for path in (tmp_path / "hub").glob("models--*/snapshots/**/*.*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("reference", "below"),
    [
        ("org/set", ""),
        ("hf://org/set", ""),
        ("org/set/deep/er", "deep/er"),
        ("org/set/deep/er/", "deep/er"),
        ("org/set@v1", ""),
        ("org/set/deep/er@v1", "deep/er"),
        ("hf://org/set/deep/er?revision=v1", "deep/er"),
        ("hf://org/set?revision=refs/pr/3", ""),
    ],
)
def test_reference_opens_and_then_needs_no_network(
    reference: str, below: str, tmp_path: Path, online: Callable, opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_weights()
    write_plt(tmp_path / "repository" / below, weights)
    (tmp_path / "repository" / below / "features").mkdir()
    (tmp_path / "repository" / below / "features/layer_0.bin").write_bytes(b"not asked for")
    revisions = ("v1",) if "v1" in reference else ("refs/pr/3",) if "refs" in reference else ("main",)
    phases = []
    with fake_hub({"org/set": tmp_path / "repository"}, revisions=revisions) as address:
        online(address)
        files = opened(reference, lambda phase, fraction: phases.append(phase))
    assert set(phases) == {"download"}
    assert files.name == reference and files.model_name == "org/base"
    names = {"config.yaml", *(f"layer_{layer}.safetensors" for layer in range(L))}
    assert cached(tmp_path) == {f"{below}/{name}".lstrip("/") for name in names}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = opened(reference)
    assert again.fingerprint == files.fingerprint
    assert torch.equal(again.decoder_rows(2, torch.tensor([7])), weights.decoder[2][[7]])


def test_cache_that_another_program_filled(
    tmp_path: Path, online: Callable, opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plt(tmp_path / "repository", random_weights())
    with fake_hub({"org/set": tmp_path / "repository"}) as address:
        online(address)
        files = opened("org/set")
    shutil.rmtree(tmp_path / "hub/models--org--set/trees")  # the list of all files
    monkeypatch.setattr(_tree_cache, "_IN_MEMORY_TREE_CACHE", {})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert opened("org/set").fingerprint == files.fingerprint


def test_snapshot_folder_opens_as_a_folder(tmp_path: Path, online: Callable, opened: Callable) -> None:
    write_plt(tmp_path / "repository", random_weights())
    with fake_hub({"org/set": tmp_path / "repository"}) as address:
        online(address)
        opened("org/set")
    folder = tmp_path / f"hub/models--org--set/snapshots/{COMMIT}"
    assert (folder / "layer_0.safetensors").is_symlink()  # out of the folder, but not out of the repository's
    assert opened(str(folder)).n_layers == L


def test_fingerprint_is_of_the_commit(
    tmp_path: Path, online: Callable, opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plt(tmp_path / "repository", random_weights())
    found = set()
    for commit in (COMMIT, "d" * 40):
        monkeypatch.setattr(hub_module, "COMMIT", commit)
        with fake_hub({"org/set": tmp_path / "repository"}) as address:
            online(address)
            found |= {opened("org/set").fingerprint, opened("org/set").fingerprint}
    assert len(found) == 2


@pytest.mark.parametrize("where", ["folder", "hub"])
def test_list_that_points_to_another_repository(
    where: str, tmp_path: Path, online: Callable, opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_weights(skip=False)
    source = write_gemmascope(tmp_path / "scope", weights)
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.npz"))
    write_config(
        tmp_path / "set",
        feature_input_hook="ln2.hook_normalized",
        transcoders=[f"hf://google/scope/{names[0]}", f"hf://google/scope/{names[1]}", "c/params.npz"],
    )
    (tmp_path / "set/c").mkdir()
    shutil.copy(source / names[2], tmp_path / "set/c/params.npz")
    repositories = {"google/scope": source, "org/set": tmp_path / "set"}
    asked = []
    plain = hub.snapshot
    monkeypatch.setattr(hub, "snapshot", lambda name, *rest: (asked.append(name), plain(name, *rest))[1])
    with fake_hub(repositories) as address:
        online(address)
        files = opened("org/set" if where == "hub" else str(tmp_path / "set"))
    assert asked == ["org/set"] * (where == "hub") + ["google/scope"]  # once: all its files are of one commit
    assert (files.n_layers, files.feature_input_hook) == (L, "ln2.hook_normalized")
    for layer in range(L):
        assert torch.equal(files.encoder_rows(layer, torch.tensor([4, 2])), weights.encoder[layer][[4, 2]])


def test_revision_of_an_entry(tmp_path: Path, online: Callable, opened: Callable) -> None:
    write_plt(tmp_path / "scope", random_weights())
    write_config(tmp_path / "set", transcoders=["hf://google/scope/layer_2.safetensors?revision=v2"])
    with fake_hub({"google/scope": tmp_path / "scope"}, revisions=("v2",)) as address:
        online(address)
        assert opened(str(tmp_path / "set")).n_layers == 1
        write_config(tmp_path / "set", transcoders=["hf://google/scope/layer_2.safetensors"])
        assert "google/scope has no such revision" in refusal(str(tmp_path / "set"), tmp_path)


def test_terminal_entry_need_not_be_there(tmp_path: Path, online: Callable, opened: Callable) -> None:
    weights = random_weights("clt")
    write_gemmascope2_clt(tmp_path / "scope/clt/wide", weights)
    write_config(
        tmp_path / "set",
        model_kind="cross_layer_transcoder",
        transcoders=[f"hf://google/scope/clt/wide/params_layer_{layer}.safetensors" for layer in range(L + 1)],
    )
    with fake_hub({"google/scope": tmp_path / "scope", "org/set": tmp_path / "set"}) as address:
        online(address)
        files = opened("org/set")
    assert (files.n_layers, files.kind) == (L, "clt")
    assert torch.equal(files.decoder_rows(L - 1, torch.tensor([4])), weights.decoder[L - 1][[4]])


def test_gemmascope2_without_a_configuration(tmp_path: Path, online: Callable, opened: Callable) -> None:
    folder = write_gemmascope2_plt(tmp_path / "scope/all", random_weights())
    (folder / "layer_0_width_24_l0_small_affine/config.json").write_text('{"model_name": "org/gemma"}')
    with fake_hub({"google/scope": tmp_path / "scope"}) as address:
        online(address)
        files = opened("google/scope/all")
    assert (files.feature_input_hook, files.feature_output_hook) == ("mlp.hook_in", "hook_mlp_out")
    assert files.model_name == "org/gemma"
    assert not any("examples" in name for name in cached(tmp_path))


def test_several_sets_in_a_folder_are_not_downloaded(tmp_path: Path, online: Callable) -> None:
    folder = write_gemmascope2_plt(tmp_path / "scope/all", random_weights())
    save(gemmascope2_tensors(random_weights(), 1), folder / "layer_1_width_65_l0_big/params.safetensors")
    with fake_hub({"google/scope": tmp_path / "scope"}) as address:
        online(address)
        message = refusal("google/scope/all", tmp_path)
    assert "holds several transcoders for layer 1" in message and "choose by a config.yaml" in message
    assert cached(tmp_path) == set()


def test_topk_set_known_by_its_name(tmp_path: Path, online: Callable, opened: Callable) -> None:
    weights = random_weights(threshold=False)
    for part in ("encoder", "decoder", "encoder_bias"):
        setattr(weights, part, [torch.cat([tensor] * 6) for tensor in getattr(weights, part)])
    write_plt(tmp_path / "set", weights)
    name = "facebook/crv-8b-instruct-transcoders"
    with fake_hub({name: tmp_path / "set"}) as address:
        online(address)
        files = opened(name)
    assert (files.activation, files.k) == ("topk", 128)
    assert opened(str(tmp_path / "set")).activation == "relu"


# What is refused


def test_gated_set_says_how_to_get_in(tmp_path: Path, online: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plt(tmp_path / "set", random_weights())
    with fake_hub({"org/set": tmp_path / "set"}, gated="org/set", token="hf_right") as address:
        online(address)
        message = refusal("org/set", tmp_path)
        assert "org/set is gated: accept its licence" in message and "HF_TOKEN" in message
        monkeypatch.setenv("HF_TOKEN", "hf_right")
        assert open_transcoders("org/set", tmp_path).n_layers == L


def test_what_the_hub_does_not_have(tmp_path: Path, online: Callable) -> None:
    write_plt(tmp_path / "set", random_weights())
    (tmp_path / "set/layer_1.safetensors").unlink()
    write_config(tmp_path / "list", transcoders=["layer_0.safetensors"])
    repositories = {"org/set": tmp_path / "set", "org/list": tmp_path / "list"}
    with fake_hub(repositories) as address:
        online(address)
        assert "the Hub has no public repository 'org/other'; check the name" in refusal("org/other", tmp_path)
        assert "org/set has no such revision; check the branch" in refusal("org/set@v9", tmp_path)
        assert "org/set lacks layer_1.safetensors; download" in refusal("org/set", tmp_path)
        assert "org/set/nowhere holds no transcoders that can be read" in refusal("org/set/nowhere", tmp_path)
        assert "org/list lacks 'layer_0.safetensors'; download the set again, or correct" in refusal(
            "org/list", tmp_path
        )
        write_config(tmp_path / "here", transcoders=["hf://org/set/layer_9.safetensors"])
        assert "org/set lacks 'layer_9.safetensors'" in refusal(str(tmp_path / "here"), tmp_path)
        write_config(tmp_path / "here", transcoders=["hf://org/other/layer_9.safetensors"])
        assert "no public repository 'org/other'" in refusal(str(tmp_path / "here"), tmp_path)


def test_without_a_network(tmp_path: Path) -> None:
    message = refusal("org/set", tmp_path)
    assert "org/set is not on this machine and the Hub can't be reached; connect to it, or give a folder" in message


def test_download_that_was_not_finished(
    tmp_path: Path, online: Callable, opened: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plt(tmp_path / "set", random_weights())

    def stop(phase: str, fraction: float) -> None:
        if fraction > 0:
            raise KeyboardInterrupt

    with fake_hub({"org/set": tmp_path / "set"}) as address:
        online(address)
        with pytest.raises(KeyboardInterrupt):
            opened("org/set", stop)
        assert "layer_0.safetensors" in cached(tmp_path) and "layer_2.safetensors" not in cached(tmp_path)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert "org/set is not on this machine and the Hub can't be reached" in refusal("org/set", tmp_path)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        assert opened("org/set").n_layers == L


@pytest.mark.parametrize(
    "reference",
    ["nonsense", "", " ", "/no/such/folder", "./missing", "~nobody-here/x", "org/../set", "org//set", "hf://org",
     "hf://", "a\0b", "org/set\\x", "x" * 5000],
)  # fmt: skip
def test_reference_that_is_none(reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TracerError) as caught:
        open_transcoders(reference, tmp_path)
    message = str(caught.value)
    assert "there are no transcoders" in message
    assert "\n" not in message and len(message) < 400


def test_name_that_the_hub_would_not_take(tmp_path: Path) -> None:
    assert "check the name" in refusal("or g/tiny set", tmp_path)

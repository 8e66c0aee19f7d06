"""From a name to a model that replays exactly; everything else is one line that says what to do."""

import errno
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

import tracer
from tests.helpers import PROMPT, saved, tiny_gemma3, tiny_llama
from tests.tracer import tiny_gguf
from tests.tracer.fake_hub import fake_hub, on_line
from tracer import TracerError, hub
from tracer.model import load
from tracer.model.packages import converted_folder
from tracer.presets import PRESETS, Preset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders llama and gemma3: not to be changed."""
    folder = tmp_path_factory.mktemp("models")
    saved(tiny_llama(), folder / "llama")
    saved(tiny_gemma3(), folder / "gemma3")
    return folder


@pytest.fixture
def llama(made: Path, tmp_path: Path) -> Path:
    """A folder to spoil."""
    return shutil.copytree(made / "llama", tmp_path / "llama")


def refusal(*arguments, **options) -> str:
    with pytest.raises(TracerError) as caught:
        tracer.load(*map(str, arguments), **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


# What loads


@pytest.mark.parametrize(("family", "build"), [("llama", tiny_llama), ("gemma3", tiny_gemma3)])
def test_folder_loads(made: Path, family: str, build: Callable) -> None:
    model = tracer.load(str(made / family))
    ids = model.token_ids(PROMPT)
    assert ids == [0, 6, 11, 4, 35, 19, 7, 42, 10]
    expected = build()(torch.tensor([ids])).logits[0, -1].detach()
    assert torch.allclose(model.record(ids).logits, expected, atol=1e-5)
    assert model.trace(tokens=ids).row_error < 5e-5
    assert not model.anatomy.model.training


def test_relative_folder_and_path_with_a_dot(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    absolute = tracer.load(str(made / "llama")).model_fingerprint
    assert tracer.load("llama").model_fingerprint == tracer.load("./llama").model_fingerprint == absolute


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_bfloat16_weights_replay_exactly_and_stay_bfloat16(made: Path, family: str) -> None:
    model = tracer.load(str(made / family), dtype="bfloat16")
    before = {name: weight.data_ptr() for name, weight in model.anatomy.model.named_parameters()}
    graph = model.trace(PROMPT)
    assert graph.row_error <= 1e-5
    assert graph.meta["dtype"] == "bfloat16"
    for name, weight in model.anatomy.model.named_parameters():
        assert weight.dtype == torch.bfloat16, name
        assert weight.data_ptr() == before[name], name


class OnlyCopiesAreComputedWith(TorchDispatchMode):
    """Layers of a lower precision stand in for weights on another device: only copies of them may enter arithmetic."""

    READS = ("_to_copy", "index", "embedding", "detach", "t", "transpose", "slice", "select", "view", "alias", "mean")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        touched = [x for x in args if isinstance(x, torch.Tensor) and x.dtype == torch.bfloat16]
        name = function._schema.name.removeprefix("aten::")
        assert not touched or name in self.READS, f"{name} works on a weight where it lies"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_offloaded_layers_are_copied_to_the_device_before_they_compute(made: Path, family: str) -> None:
    model = tracer.load(str(made / family), offload=True)
    for layer in model.anatomy.layers:
        layer.module.to(torch.bfloat16)
    whole = model.trace(PROMPT)
    with OnlyCopiesAreComputedWith():
        graph = model.trace(PROMPT)
        model.steer(PROMPT, [tracer.Edit(1, 3, 2, value=2.0)], protocol="clamp")
        model.says(1, 2)
    assert abs(graph.adjacency - whole.adjacency).max() == 0


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_weights_on_the_disk_compute_the_same_and_give_their_memory_back(
    made: Path, tmp_path: Path, dtype: str
) -> None:
    folder = tmp_path / "mapped"
    if dtype == "bfloat16":  # as published: only weights that are used as they are stored can stay where they are
        saved(tiny_gemma3().to(torch.bfloat16), folder)
    else:
        shutil.copytree(made / "gemma3", folder)
    whole = tracer.load(str(shutil.copytree(folder, tmp_path / "whole")), dtype=dtype)
    mapped = tracer.load(str(folder), dtype=dtype, offload=True)
    edit = [tracer.Edit(1, 3, 2, value=2.0)]
    assert (mapped.trace(PROMPT).adjacency != whole.trace(PROMPT).adjacency).nnz == 0
    assert torch.equal(mapped.steer(PROMPT, edit).logits, whole.steer(PROMPT, edit).logits)
    assert mapped.says(1, 2) == whole.says(1, 2)
    file = str(folder / "model.safetensors")
    mapped.anatomy.embed.weight.sum()
    assert resident(file) > 0
    mapped.anatomy.release()
    assert resident(file) == 0


def resident(path: str) -> int:
    """Bytes of a mapped file in this process's memory."""
    return sum(part.rss for part in psutil.Process().memory_maps() if part.path == path)


def test_only_layers_stay_off_the_device(made: Path) -> None:
    model = tracer.load(str(made / "llama")).anatomy.model
    load._move(model, torch.device("meta"), offload=True)
    on_device = {name for name, weight in model.named_parameters() if weight.device.type == "meta"}
    assert on_device == {name for name, _ in model.named_parameters() if not name.startswith("model.layers.")}
    assert {buffer.device.type for buffer in model.buffers()} == {"meta"}


def test_published_bfloat16_is_float32_on_the_cpu(tmp_path: Path) -> None:
    folder = saved(tiny_llama().to(torch.bfloat16), tmp_path / "half")
    assert tracer.load(str(folder), device="cpu").dtype == torch.float32


def test_progress_tells_the_phases(made: Path) -> None:
    told: list[tuple[str, float]] = []
    tracer.load(str(made / "llama"), progress=lambda phase, fraction: told.append((phase, fraction)))
    assert list(dict.fromkeys(phase for phase, _ in told)) == ["load", "check", "self-check"]
    assert all(0 <= fraction <= 1 for _, fraction in told)


# Fingerprint


def test_fingerprint_follows_the_weights(llama: Path) -> None:
    def fingerprint(dtype: str = "auto") -> str:
        return tracer.load(str(llama), dtype=dtype).model_fingerprint

    first = fingerprint()
    assert fingerprint() == first
    moved = llama.rename(llama.with_name("elsewhere"))
    assert tracer.load(str(moved)).model_fingerprint == first
    moved.rename(llama)
    assert len({first, fingerprint("bfloat16"), fingerprint("float16")}) == 3  # rounded weights give other graphs
    file = llama / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] += 1e-3
    save_file(weights, file, metadata={"format": "pt"})
    assert fingerprint() != first


def test_fingerprint_follows_config_and_tokenizer(llama: Path) -> None:
    first = tracer.load(str(llama)).model_fingerprint
    for name, key in (("config.json", "rms_norm_eps"), ("tokenizer_config.json", "model_max_length")):
        path = llama / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: 1e-3}))
        second = tracer.load(str(llama)).model_fingerprint
        assert second != first
        first = second


# What does not load


def test_unknown_name_says_where_the_presets_are() -> None:
    for name in ("nonsense", "a/b/c", "/no/such/folder", "./missing", "~nobody-here/x", "x" * 260):
        message = refusal(name)
        assert "there is no model" in message and "python -m tracer models" in message


def test_folder_without_a_model(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert str(tmp_path) in message and "config.json" in message and "give a folder" in message


def test_file_instead_of_a_folder(made: Path) -> None:
    assert "is a file; give the folder" in refusal(made / "llama" / "model.safetensors")


def test_unsupported_family_names_the_supported(tmp_path: Path) -> None:
    config = GPTNeoXConfig(vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
                           num_attention_heads=4)  # fmt: skip
    message = refusal(saved(GPTNeoXForCausalLM(config), tmp_path / "neox"))
    assert "'gpt_neox'" in message and "supported are gemma2, gemma3, gemma3_text, gpt2, llama" in message


def test_family_is_checked_before_weights_are_read(llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    change_config(llama, model_type="gpt_neox")
    assert "'gpt_neox'" in refusal(llama)


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut_short(path: Path, keep: float = 0.5) -> None:
    """As a new file: a model that maps the old one keeps it."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: int(keep * len(data))])


def pickled(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


SPOILED = {
    "weights cut short": lambda folder: cut_short(folder / "model.safetensors"),
    "weights empty": lambda folder: cut_short(folder / "model.safetensors", keep=0),
    "weights missing": lambda folder: (folder / "model.safetensors").unlink(),
    "weights in a pickle": pickled,
    "tokenizer missing": lambda folder: (folder / "tokenizer.json").unlink(),
    "tokenizer cut short": lambda folder: cut_short(folder / "tokenizer.json"),
    "a layer missing": lambda folder: change_config(folder, num_hidden_layers=4),
    "other shapes": lambda folder: change_config(folder, intermediate_size=64),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_spoiled_folder(llama: Path, spoil: Callable) -> None:
    spoil(llama)
    message = refusal(llama)
    assert str(llama) in message and "download it again" in message


@pytest.mark.parametrize("changes", [{"num_hidden_layers": 4}, {"intermediate_size": 64}])
def test_weights_that_would_be_made_up_are_named(llama: Path, changes: dict) -> None:
    change_config(llama, **changes)
    message = refusal(llama)
    assert "lacks model.layers." in message and "in the shape that config.json asks for" in message


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "zzz"}'])
def test_spoiled_config(llama: Path, content: str) -> None:
    (llama / "config.json").write_text(content)
    assert "config.json can't be used; supported are gemma2, gemma3, gemma3_text, gpt2, llama" in refusal(llama)


def test_code_in_a_folder_is_not_run(llama: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    code = f"open({str(mark)!r}, 'w')\nclass Config: pass\nclass Model: pass\n"
    (llama / "evil.py").write_text(code)
    change_config(llama, auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})
    tracer.load(str(llama))
    change_config(llama, model_type="zzz")
    assert "config.json can't be used" in refusal(llama)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dtype": "int8"}, "give auto or one of float32"),
        ({"device": "quantum"}, "give auto or cpu"),
        ({"features": "no such folder"}, "there are no transcoders"),
    ],
)
def test_unknown_option(made: Path, options: dict, says: str) -> None:
    message = refusal(made / "llama", **options)
    assert next(iter(options.values())) in message and says in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_device_that_is_not_there(made: Path) -> None:
    assert "'cuda' can't be used here; give auto or cpu" in refusal(made / "llama", device="cuda")


def full(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 TiB")


def test_too_large_for_the_device(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "to", full)
    assert "does not fit" in refusal(made / "llama")


@pytest.mark.parametrize("layer", [0, 1])
def test_self_check_refuses_what_the_engine_does_not_replay(
    made: Path, layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = LlamaDecoderLayer.forward

    def more(self: LlamaDecoderLayer, *arguments, **options) -> torch.Tensor:
        out = forward(self, *arguments, **options)
        return out + 0.1 * torch.tanh(out) if self.self_attn.layer_idx == layer else out

    monkeypatch.setattr(LlamaDecoderLayer, "forward", more)
    message = refusal(made / "llama")
    assert f"rows at layer {layer + 1} miss" in message  # the first layer that reads what was added


# The Hub


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go on line, to a Hub at an address, with an empty cache."""
    return on_line(tmp_path, monkeypatch)


def test_hub_id_loads_and_then_needs_no_network(made: Path, online: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub({"org/tiny": made / "gemma3"}) as address:
        online(address)
        model = tracer.load("org/tiny")
    assert model.name == "org/tiny"
    assert model.model_fingerprint == tracer.load(str(made / "gemma3")).model_fingerprint
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert tracer.load("org/tiny").model_fingerprint == model.model_fingerprint


def test_gated_model_says_how_to_get_in(made: Path, online: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub({"org/tiny": made / "llama"}, gated="org/tiny", token="hf_right") as address:
        online(address)
        for token in (None, "hf_wrong"):
            if token:
                monkeypatch.setenv("HF_TOKEN", token)
            message = refusal("org/tiny")
            assert "org/tiny is gated: accept its licence" in message and "HF_TOKEN" in message
        monkeypatch.setenv("HF_TOKEN", "hf_right")
        assert tracer.load("org/tiny").name == "org/tiny"


def test_model_that_the_hub_does_not_have(online: Callable) -> None:
    with fake_hub({}) as address:
        online(address)
        message = refusal("org/tiny")
    assert "the Hub has no public model 'org/tiny'" in message and "check the name" in message


def test_hub_that_does_not_answer(online: Callable) -> None:
    with fake_hub({}) as address:
        pass
    online(address)
    assert "org/tiny is not on this machine and the Hub can't be reached" in refusal("org/tiny")


def test_hub_id_without_a_network() -> None:
    message = refusal("org/tiny")
    assert "org/tiny is not on this machine" in message and "connect to it, or give a folder" in message


def test_name_that_the_hub_would_not_take() -> None:
    assert "check the name" in refusal("or g/tiny model")


def test_download_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub, "snapshot_download", no_space)
    message = refusal("org/tiny")
    assert "downloading org/tiny failed (No space left on device)" in message and "disk" in message


# Presets, whose weights we convert


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """A preset "tiny" whose package is installed."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(packages)
    importlib.invalidate_caches()
    made = tiny_gguf.preset(packages)
    monkeypatch.setitem(PRESETS, "tiny", made)
    return made


def test_preset_is_converted_into_the_store(preset: Preset, tmp_path: Path) -> None:
    store = tmp_path / "chosen"
    model = tracer.load("tiny", store=store)
    assert model.name == "tiny" and model.model_fingerprint == preset.package.sha256
    assert model.token_ids("the cat") == [258, 262]
    assert converted_folder(preset, store).is_dir()


def test_store_is_below_home_unless_given(preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_HOME", str(tmp_path / "home"))
    tracer.load("tiny")
    assert converted_folder(preset, tmp_path / "home" / "models").is_dir()


OWN = {
    **SPOILED,
    "config cut short": lambda folder: cut_short(folder / "config.json"),
    "everything gone": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("spoil", OWN.values(), ids=OWN)
def test_spoiled_conversion_is_made_again(preset: Preset, tmp_path: Path, spoil: Callable) -> None:
    before = tracer.load("tiny", store=tmp_path)
    spoil(converted_folder(preset, tmp_path))
    phases: list[str] = []
    after = tracer.load("tiny", store=tmp_path, progress=lambda phase, _fraction: phases.append(phase))
    assert "convert" in phases
    assert after.model_fingerprint == before.model_fingerprint
    assert torch.equal(after.record([1, 2]).logits, before.record([1, 2]).logits)


def test_lack_of_memory_does_not_throw_the_conversion_away(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer.load("tiny", store=tmp_path)
    inode = converted_folder(preset, tmp_path).stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Module, "to", full)
        assert "does not fit" in refusal("tiny", store=tmp_path)
    assert converted_folder(preset, tmp_path).stat().st_ino == inode


def test_preset_that_is_not_installed_names_the_package(preset: Preset, tmp_path: Path) -> None:
    tiny_gguf.chunk(tmp_path / "site-packages", 0).unlink()
    message = refusal("tiny", store=tmp_path)
    assert "nobody/tiny is not on this machine" in message and "pip install tiny-gguf==1" in message


def test_store_that_cannot_be_written(preset: Preset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refusal("tiny", store=tmp_path / "file")
    assert "can't write" in message and "HYPOGRAPH_HOME" in message

"""Converting the GGUF of an installed package: right to the bit, once, and whole or not at all."""

import importlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tracer import converting, tiny_gguf
from tracer import Cancelled, TracerError
from tracer.errors import silent
from tracer.model.packages import converted, converted_folder, package_files
from tracer.presets import PRESETS, GgufPackage, Preset

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["the cat", " the\tcat sat: 1234", "Ünïcödé ☂ 漢字", ""]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    return folder


@pytest.fixture
def preset(packages: Path) -> Preset:
    return tiny_gguf.preset(packages)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "home" / "models"


class Phases(list):
    """A progress callback that remembers."""

    def __call__(self, phase: str, fraction: float) -> None:
        assert 0 <= fraction <= 1
        self.append(phase)


def left_behind(store: Path) -> list[str]:
    """What lies in the store beside the lock."""
    return sorted(path.name for path in store.iterdir() if path.suffix != ".lock")


# Right


def test_package_is_found_without_being_imported(preset: Preset) -> None:
    with pytest.raises(ImportError, match="not imported"):
        importlib.import_module(preset.package.module)
    files = package_files(preset.package)
    assert [path.name for path in files] == [f"tiny.gguf.part{i}" for i in range(tiny_gguf.PARTS)]


def test_converted_model_equals_the_gguf_to_the_bit(packages: Path, preset: Preset, store: Path) -> None:
    folder = converted(preset, store, silent)
    assert folder == converted_folder(preset, store)
    whole = packages / "again.gguf"
    whole.write_bytes(b"".join(path.read_bytes() for path in package_files(preset.package)))
    read = AutoModelForCausalLM.from_pretrained(packages, gguf_file=whole.name, dtype=torch.float32).eval()
    read_tokenizer = AutoTokenizer.from_pretrained(packages, gguf_file=whole.name)
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert type(model) is type(read)
    ids = tokenizer(TEXTS[1])["input_ids"]
    assert torch.equal(model(torch.tensor([ids])).logits, read(torch.tensor([ids])).logits)
    for name, weight in read.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == read_tokenizer(text)["input_ids"]
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer("the cat")["input_ids"] == [258, 262]  # the merges act
    assert tokenizer.all_special_ids == read_tokenizer.all_special_ids == [0]


def test_converted_folder_holds_plain_weights_only(preset: Preset, store: Path) -> None:
    folder = converted(preset, store, silent)
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "hypograph.json"}
    assert not [name for name in names if name.endswith((".gguf", ".bin", ".pt", ".py"))]
    assert "quantization_config" not in (folder / "config.json").read_text()
    assert left_behind(store) == [folder.name]


# Once


def test_second_call_does_not_convert(preset: Preset, store: Path) -> None:
    folder, first, second = converted_folder(preset, store), Phases(), Phases()
    converted(preset, store, first)
    assert list(dict.fromkeys(first)) == ["assemble", "check", "read", "convert"]
    made = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    begin = time.perf_counter()
    assert converted(preset, store, second) == folder
    assert time.perf_counter() - begin < 0.05
    assert second == []
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == made


class Processes:
    """Other processes that convert; forked from one that has imported everything, so that they begin at once."""

    def __init__(self, packages: Path) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.tracer.converting"])
        self.packages = packages
        self.started: list[multiprocessing.process.BaseProcess] = []

    def start(
        self, preset: Preset, store: Path, stop_at: str | None = None
    ) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        here, there = self.context.Pipe(duplex=False)
        arguments = (self.packages, preset, store, stop_at, there)
        process = self.context.Process(target=converting.convert, args=arguments, daemon=True)
        process.start()
        there.close()
        self.started.append(process)
        return process, here


@pytest.fixture
def processes(packages: Path) -> Iterator[Processes]:
    made = Processes(packages)
    yield made
    for process in made.started:
        process.kill()
        process.join()


def told(connection: Connection, until: Callable[[str], bool]) -> list[str]:
    """What a process tells, up to the word that is waited for."""
    words: list[str] = []
    while not words or not until(words[-1]):
        assert connection.poll(60), f"silent for a minute after {words}"
        words.append(connection.recv())
    return words


def ended(word: str) -> bool:
    return word.startswith(("done", "error"))


def test_two_processes_at_once_convert_once(preset: Preset, store: Path, processes: Processes) -> None:
    both = [processes.start(preset, store)[1] for _ in range(2)]
    words = [told(connection, ended) for connection in both]
    folder = converted_folder(preset, store)
    assert [heard[-1] for heard in words] == [f"done {folder}"] * 2
    assert sum("convert" in heard for heard in words) == 1
    assert left_behind(store) == [folder.name]


@pytest.mark.parametrize("phase", ["assemble", "read", "convert"])
def test_killed_conversion_is_taken_over(preset: Preset, store: Path, processes: Processes, phase: str) -> None:
    first, connection = processes.start(preset, store, stop_at=phase)
    told(connection, lambda word: word == phase)
    _, waiting = processes.start(preset, store)
    told(waiting, lambda word: word == "wait")
    assert [name.startswith(".making-") for name in left_behind(store)] == [True]
    first.kill()
    heard = told(waiting, ended)
    folder = converted_folder(preset, store)
    assert heard[-1] == f"done {folder}"
    assert "convert" in heard
    assert left_behind(store) == [folder.name]
    AutoModelForCausalLM.from_pretrained(folder)


def test_left_overs_are_swept_but_not_those_of_another_preset(packages: Path, preset: Preset, store: Path) -> None:
    longer = replace(preset, name=f"{preset.name}-it")
    names = []
    for other in (preset, longer):

        def stop(_phase: str, _fraction: float) -> None:
            names.append(left_behind(store))
            raise Cancelled

        with pytest.raises(Cancelled):
            converted(other, store, stop)
    assert [len(found) for found in names] == [1, 1]
    for found in names:  # as a kill would have left them
        (store / found[0]).mkdir()
        (store / found[0] / "model.gguf").write_bytes(b"half")
    folder = converted(preset, store, silent)
    assert left_behind(store) == sorted([names[1][0], folder.name])


# Whole or not at all


@pytest.mark.parametrize("spoil", [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:-100]])
def test_damaged_package_names_the_command(packages: Path, preset: Preset, store: Path, spoil: Callable) -> None:
    path = tiny_gguf.chunk(packages, 1)
    good = path.read_bytes()
    path.write_bytes(spoil(good))
    with pytest.raises(TracerError, match="damaged") as caught:
        converted(preset, store, silent)
    assert "pip install --force-reinstall tiny-gguf==1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left_behind(store) == []
    path.write_bytes(good)
    assert converted(preset, store, silent).is_dir()


@pytest.mark.parametrize("phase", ["assemble", "check", "read", "convert"])
def test_cancelling_leaves_nothing(preset: Preset, store: Path, phase: str) -> None:
    def stop(name: str, _fraction: float) -> None:
        if name == phase:
            raise Cancelled

    with pytest.raises(Cancelled):
        converted(preset, store, stop)
    assert left_behind(store) == []


def test_waiting_for_another_process_can_be_cancelled(preset: Preset, store: Path, processes: Processes) -> None:
    _, connection = processes.start(preset, store, stop_at="read")
    told(connection, lambda word: word == "read")

    def stop(phase: str, _fraction: float) -> None:
        assert phase == "wait"
        raise Cancelled

    with pytest.raises(Cancelled):
        converted(preset, store, stop)
    assert len(left_behind(store)) == 1  # the other process is still at it


def test_too_little_room_is_refused_before_it_is_filled(packages: Path, store: Path) -> None:
    huge = tiny_gguf.preset(packages, size_gb=1e6)
    phases = Phases()
    with pytest.raises(TracerError, match=r"2300000\.0 GB free") as caught:
        converted(huge, store, phases)
    assert str(store) in str(caught.value) and "HYPOGRAPH_HOME" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert phases == [] and left_behind(store) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files can't grow beyond `size` bytes, as if the disk were full (Python ignores SIGXFSZ)."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [20_000, 70_000], ids=["in the GGUF", "in the weights"])
def test_write_that_fails_leaves_nothing_and_the_next_call_works(preset: Preset, store: Path, size: int) -> None:
    phases = Phases()
    with largest_file(size), pytest.raises(TracerError) as caught:
        converted(preset, store, phases)
    assert ("convert" in phases) is (size == 70_000)  # each size fails where it should
    message = str(caught.value)
    assert "converting tiny failed" in message and str(store) in message and "start again" in message
    assert "\n" not in message
    assert left_behind(store) == []
    assert converted(preset, store, silent).is_dir()


FILL = """
import json, subprocess, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {packages!r}]
from tests.tracer import tiny_gguf
from tracer import TracerError
from tracer.model.packages import converted

disk = Path({disk!r})
preset = tiny_gguf.preset(Path({packages!r}))
sys.path_importer_cache.clear()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], check=True)
for size in (16, 60, 100, 160, 1000):  # kB: the GGUF takes 57, the weights 98, the rest 12
    subprocess.run(["mount", "-o", f"remount,size={{size}}k", disk], check=True)
    phases = []
    try:
        converted(preset, disk / "models", lambda phase, fraction: phases.append(phase))
        said = "done"
    except TracerError as problem:
        said = str(problem)
    left = [path.name for path in (disk / "models").iterdir() if path.suffix != ".lock"]
    print(json.dumps([phases[-1], said, left]))
"""


def test_full_disk_leaves_nothing_and_the_next_call_works(packages: Path, tmp_path: Path) -> None:
    private = ["unshare", "--mount", "--map-root-user"]  # a mount that nobody else sees, gone with the process
    try:
        subprocess.run([*private, "mount", "-t", "tmpfs", "none", tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.skip(f"no disk of a chosen size can be mounted here ({problem})")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = FILL.format(root=str(ROOT), packages=str(packages), disk=str(disk))
    run = subprocess.run([*private, sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(outcomes) == 5
    for phase, said, left in outcomes[:-1]:
        assert "No space left" in said and str(disk) in said and "start again" in said and "\n" not in said
        assert phase in ("assemble", "convert") and left == []
    assert {phase for phase, _, _ in outcomes[:-1]} == {"assemble", "convert"}
    assert outcomes[-1][1] == "done" and len(outcomes[-1][2]) == 1


def test_store_below_a_file(preset: Preset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = tmp_path / "file" / "models"
    with pytest.raises(TracerError, match="can't write") as caught:
        converted(preset, store, silent)
    assert str(store) in str(caught.value) and "HYPOGRAPH_HOME" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["read-only", "closed"])
def test_store_without_rights(preset: Preset, store: Path, mode: int) -> None:
    store.mkdir(parents=True)
    store.chmod(mode)
    os.seteuid(65534)
    try:
        with pytest.raises(TracerError, match="HYPOGRAPH_HOME") as caught:
            converted(preset, store, silent)
    finally:
        os.seteuid(0)
    assert "Permission denied" in str(caught.value) and str(store) in str(caught.value)


# Not installed


def test_missing_package_is_none(preset: Preset, store: Path) -> None:
    missing = replace(preset, package=replace(preset.package, files=("no_such_package:data/x.gguf",)))
    assert package_files(missing.package) is None
    assert converted(missing, store, silent) is None
    assert not store.exists()


def test_missing_part_is_none(packages: Path, preset: Preset, store: Path) -> None:
    tiny_gguf.chunk(packages, tiny_gguf.PARTS - 1).unlink()
    assert converted(preset, store, silent) is None


def test_module_that_is_no_package_is_none(packages: Path) -> None:
    (packages / "tiny_module.py").write_text("raise ImportError\n")
    importlib.invalidate_caches()
    assert package_files(GgufPackage("tiny_module", "x", ("tiny_module:data/x.gguf",), "", "")) is None


def test_converted_before_needs_no_package(packages: Path, preset: Preset, store: Path) -> None:
    folder = converted(preset, store, silent)
    tiny_gguf.chunk(packages, 0).unlink()
    assert converted(preset, store, silent) == folder


def test_every_preset_with_a_package_can_be_installed_by_name() -> None:
    for preset in PRESETS.values():
        if preset.package:
            assert "==" in preset.package.requirement
            assert len(preset.package.sha256) == 64
            assert all(entry.count(":") == 1 for entry in preset.package.files)

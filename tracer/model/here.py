"""Which models and feature sets lie on this machine, so that they load without a network; how large their weights are.

Reads no weights and changes nothing.
"""

import math
from pathlib import Path

import psutil
import torch

from tracer import hub
from tracer.errors import TracerError
from tracer.features.tensors import stored_tensors
from tracer.model.load import DTYPES, pick_device
from tracer.model.packages import converted_folder, package_files
from tracer.presets import PRESETS

SHARE = 0.8  # of the free memory that weights may take: passes need some too


def model_is_here(name: str, store: Path) -> bool:
    """A preset, folder or Hub id whose weights are on this machine."""
    preset = PRESETS.get(name)
    packaged = preset is not None and preset.package is not None and package_files(preset.package) is not None
    return packaged or bool(_weights(name, store))


def features_are_here(model: str, features: str) -> bool:
    """A feature set as `tracer.load` takes it: a name that the model's preset knows, a folder, a Hub reference."""
    if features == "neurons":
        return True
    preset = PRESETS.get(model)
    reference = preset.reference(features) if preset else features
    return _is_folder(reference) or _is_in_hub_cache(reference)


def check_room(name: str, store: Path, device: str, dtype: str) -> None:
    """Raises TracerError if the weights would take more than SHARE of the memory that is free where the model runs."""
    where = pick_device(device)
    need = weight_bytes(name, store, device, dtype)
    free = torch.cuda.mem_get_info(where)[0] if where.type == "cuda" else psutil.virtual_memory().available
    if need > SHARE * free:
        raise TracerError(
            f"the weights of {name} take {need / 1e9:.3g} GB beside the loaded model, and {free / 1e9:.3g} GB of memory"
            f" are free, of which they may take {SHARE:.0%}: free some, or choose a smaller model"
        )


def weight_bytes(name: str, store: Path, device: str, dtype: str) -> float:
    """Of the weights in memory, as `load` would have them there. 0 if nothing is known of them."""
    in_memory = DTYPES.get(dtype) or (torch.float32 if pick_device(device).type == "cpu" else None)
    files = _weights(name, store)
    if not files and name in PRESETS:
        return PRESETS[name].size_gb * 1e9
    tensors = [tensor for path in files for tensor in stored_tensors(path).values()]
    return float(sum(math.prod(tensor.shape) * (in_memory or tensor.dtype).itemsize for tensor in tensors))


def _weights(name: str, store: Path) -> list[Path]:
    preset = PRESETS.get(name)
    if preset is None and _is_folder(name):
        return sorted(Path(name).expanduser().glob("*.safetensors"))
    own = converted_folder(preset, store).glob("*.safetensors") if preset and preset.package else ()
    if found := sorted(own):
        return found
    hub_id = preset.hub_id if preset else name
    if not _is_in_hub_cache(hub_id):
        return []
    newest = max(hub.snapshots(hub_id), key=lambda folder: folder.stat().st_mtime)
    return sorted(newest.glob("*.safetensors"))


def _is_folder(name: str) -> bool:
    try:
        return bool(name.strip()) and Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # too long for a path, ~ of an unknown user, a null byte
        return False


def _is_in_hub_cache(reference: str) -> bool:
    parts = reference.partition("@")[0].split("/")
    if len(parts) < 2 or any(part in ("", ".", "..") or "\0" in part for part in parts):
        return False
    return hub.is_here(reference)

"""GemmaScope's .npz files, converted once a machine: rows of a compressed archive can't be read one by one.

The result is a folder in circuit-tracer's layout. Archives are opened without pickle, so nothing in them is executed.
"""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tracer.errors import Progress, TracerError, first_line
from tracer.features.formats import CT_PLT
from tracer.features.references import CONFIG
from tracer.making import make_folder

HOOKS = ("ln2.hook_normalized", "hook_mlp_out")  # where GemmaScope's transcoders read and write
FORMAT = "1"  # of the converted folder
Array = NDArray[np.float32]


def converted_folder(fingerprint: str, store: Path) -> Path:
    """Where the converted set lies, or will."""
    return store / f"transcoders-{fingerprint[:16]}-v{FORMAT}"


def convert(archives: Sequence[Path], config: dict[str, Any], folder: Path, reference: str, progress: Progress) -> None:
    """Make `folder` from one archive a layer, and from what config.yaml says of them; nothing if it is there.

    Raises TracerError for an archive that is damaged or holds something else than a transcoder.
    """

    def fill(making: Path) -> None:
        for layer, path in enumerate(archives):
            progress("convert", layer / len(archives))
            save_file(_tensors(path), making / f"layer_{layer}.safetensors")
        known = {key: value for key, value in config.items() if key != "transcoders"}
        hooks = {"feature_input_hook": HOOKS[0], "feature_output_hook": HOOKS[1]}
        (making / CONFIG).write_text(yaml.safe_dump({"model_kind": "transcoder_set"} | hooks | known))
        progress("convert", 1.0)

    make_folder(folder, reference, 1.05 * sum(map(_unpacked_bytes, archives)), fill, progress)


def _tensors(path: Path) -> dict[str, Array]:
    """circuit-tracer's tensors from GemmaScope's: W_enc (D, F) is turned round."""
    with _readable(path), np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold") if name in archive}
    for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
        if name not in arrays:
            raise TracerError(f"{path} lacks {name}; download it again")
    if arrays["W_enc"].T.shape != arrays["W_dec"].shape:
        raise TracerError(
            f"{path}: W_enc has the shape {arrays['W_enc'].shape}, W_dec {arrays['W_dec'].shape}, where (D, F) and"
            " (F, D) are needed; download it again"
        )
    return {
        CT_PLT.encoder: _plain(arrays["W_enc"].T, path),
        CT_PLT.decoder: _plain(arrays["W_dec"], path),
        CT_PLT.encoder_bias: _plain(arrays["b_enc"], path),
        CT_PLT.decoder_bias: _plain(arrays["b_dec"], path),
    } | ({CT_PLT.threshold: _plain(arrays["threshold"], path)} if "threshold" in arrays else {})


def _plain(array: NDArray[Any], path: Path) -> Array:
    """In float32, row by row."""
    if array.dtype.kind != "f":
        raise TracerError(f"{path} holds {array.dtype}, where weights must be floating point; download it again")
    with np.errstate(over="ignore"):  # refused below
        plain = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(plain).all():
        raise TracerError(f"{path} holds values that are not finite; download it again")
    return plain


def _unpacked_bytes(path: Path) -> int:
    with _readable(path), zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as problem:  # zipfile, zlib and numpy raise what they meet; a pickle is a ValueError
        raise TracerError(
            f"{path} is no whole archive of plain arrays ({first_line(problem)[:100]}); download it again"
        ) from problem

"""Reading and writing circuit-tracer's pickles without circuit-tracer, and without running what is in them.

A `.pt` is a zip file around a pickle, and a pickle can call anything. So before torch reads one (weights only: it makes
tensors, plain containers and the two classes below), its parts are measured and every name in the pickle is looked up
in a short list. What the two classes are for is in `circuit_tracer`.
"""

import pickle  # nosec B403  # it writes; what is read is read by the short list below
import pickletools  # nosec B403  # takes a pickle apart without running it
import struct
import threading
import zipfile
from dataclasses import dataclass
from os import SEEK_END
from types import SimpleNamespace
from typing import Any, BinaryIO, NamedTuple

import torch

from tracer.errors import TracerError
from tracer.interchange.naming import quoted

MAX_ENTRIES = 64
MAX_DIRECTORY_BYTES = 16_384  # of the zip file's table of contents
MAX_PICKLE_BYTES = 1_000_000  # prompt, targets and names; tensors lie beside it


@dataclass
class UnifiedConfig:
    """circuit-tracer's description of a model. None where we don't know: reading a graph takes `n_layers` alone."""

    n_layers: int
    d_model: int | None = None
    d_head: int | None = None
    n_heads: int | None = None
    d_mlp: int | None = None
    d_vocab: int | None = None
    tokenizer_name: str | None = None
    model_name: str | None = None
    original_architecture: str | None = None
    n_key_value_heads: int | None = None
    dtype: Any = None


class LogitTarget(NamedTuple):
    token_str: str
    vocab_idx: int


STAND_INS: dict[type, str] = {
    UnifiedConfig: "circuit_tracer.utils.tl_nnsight_mapping.UnifiedConfig",
    LogitTarget: "circuit_tracer.attribution.targets.LogitTarget",
}
ALLOWED = {
    *STAND_INS.values(),
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    *(f"torch.{kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Bool")),
    *(f"torch.{kind}" for kind in ("float32", "float64", "float16", "bfloat16")),
}

_one_at_a_time = threading.Lock()  # torch keeps one list of safe names for the whole process


def load(file: BinaryIO) -> dict[Any, Any]:
    """The dict in a `.pt`. Raises TracerError for a file that holds anything else, or that could do anything."""
    strange = sorted(_names(_pickle_in(file)) - ALLOWED)
    if strange:
        raise TracerError(
            f"the file is refused: it names {quoted(strange[0])}, which no graph of circuit-tracer needs and which"
            " could do anything; if you trust the file, save the graph again with a current circuit-tracer"
        )
    file.seek(0)
    safe: list[Any] = list(STAND_INS.items())
    try:
        with _one_at_a_time, torch.serialization.safe_globals(safe):
            parts = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # a spoiled pickle makes torch's reader stumble in any way
        raise unreadable(str(problem).partition("\n")[0] or type(problem).__name__) from problem
    if type(parts) is not dict:
        raise unreadable("it holds no dict")
    return parts


def save(parts: dict[str, Any], file: BinaryIO, notice: str | None = None) -> None:
    """A `.pt` in which the stand-ins are called what circuit-tracer calls its classes, and a text beside it."""
    torch.save(parts, file, pickle_module=SimpleNamespace(Pickler=_Pickler, __name__="pickle"))
    if notice is not None:
        with zipfile.ZipFile(file, "a") as archive:
            root = archive.namelist()[0].partition("/")[0]
            archive.writestr(f"{root}/NOTICE.txt", notice)


def unreadable(reason: str) -> TracerError:
    shown = "".join(c if c.isprintable() else "?" for c in reason[:200])  # it may quote the file
    return TracerError(f"this is no graph of circuit-tracer ({shown}); save it again")


_PythonPickler: Any = pickle._Pickler  # that in C looks every name up, so circuit-tracer would have to be there


class _Pickler(_PythonPickler):
    def save_global(self, obj: Any, name: str | None = None) -> None:
        if obj in STAND_INS:
            module, _, name = STAND_INS[obj].rpartition(".")
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            self.memoize(obj)
        else:
            super().save_global(obj, name)


def _pickle_in(file: BinaryIO) -> bytes:
    """Raises TracerError for a zip file that is not as torch writes it: nothing compressed, nothing there twice."""
    size = file.seek(0, SEEK_END)
    if _directory_bytes(file, size) > MAX_DIRECTORY_BYTES:
        raise unreadable("its table of contents is too long")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            pickles = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
            if not len(archive.infolist()) == len(entries) <= MAX_ENTRIES or len(pickles) != 1:
                raise unreadable("it has not the parts of one")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
                raise unreadable("it is compressed")
            if sum(entry.file_size for entry in entries.values()) > size:
                raise unreadable("its parts are longer than the file")
            if entries[pickles[0]].file_size > MAX_PICKLE_BYTES:
                raise unreadable(f"its pickle is longer than {MAX_PICKLE_BYTES / 1e6:.0f} MB")
            return archive.read(pickles[0])
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as problem:
        raise unreadable(str(problem)) from problem


def _directory_bytes(file: BinaryIO, size: int) -> int:
    """What zipfile would read at once, before anything could be checked: as said by the last 98 bytes (zip64's record,
    its locator, the classic record)."""
    file.seek(max(size - 98, 0))
    tail = file.read(98).rjust(98, b"\0")
    if tail[76:80] != b"PK\x05\x06":
        raise unreadable("it is no file of torch.save")
    classic, wide = struct.unpack_from("<I", tail, 88)[0], struct.unpack_from("<Q", tail, 40)[0]
    return max(classic, wide) if tail[:4] == b"PK\x06\x06" else classic


def _names(data: bytes) -> set[str]:
    """All that a pickle could call, and any other way to name things than torch's. It is only parsed."""
    try:
        codes = [(code.name, argument) for code, argument, _ in pickletools.genops(data)]
    except (ValueError, IndexError) as problem:
        raise unreadable(str(problem)) from problem
    names = {str(argument).replace(" ", ".") for name, argument in codes if name == "GLOBAL"}
    return names | ({name for name, _ in codes} & {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})

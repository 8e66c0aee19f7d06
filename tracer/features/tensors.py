"""One tensor in a safetensors file, read in parts.

Parts are read with plain reads, not through a memory map: every mapped page that was touched would count as resident
memory, a page for each row, and a file cut short while it is mapped ends the process. So at most BLOCK bytes are held
beside what is returned, and no file stays open between calls. Everything comes back in float32 on the CPU, and a value
that is not finite is refused.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tracer.errors import TracerError, first_line

BLOCK = 1 << 25  # bytes read at once
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    offset: int  # of its first byte in the file

    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def as_matrix(self) -> "StoredTensor":
        """The same numbers as rows of the last axis."""
        return replace(self, shape=(math.prod(self.shape[:-1]), self.shape[-1]))


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """What a safetensors file holds, by name. Raises TracerError for any other file, and for one that is cut short."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            with safe_open(path, framework="pt"):  # checks the header, and that all tensors lie within the file
                header = json.loads(file.read(length))
    except OSError as problem:
        raise TracerError(
            f"can't read {path} ({first_line(problem)}); see that it is there and its rights"
        ) from problem
    except (SafetensorError, ValueError, RecursionError) as problem:
        raise TracerError(
            f"{path} is no whole safetensors file ({first_line(problem)}); download or copy it again"
        ) from problem
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if entry["dtype"] not in DTYPES:
            raise TracerError(
                f"{path}: {name} is stored as {entry['dtype']}, which can't be read; convert it to float32 or bfloat16"
            )
    return {
        name: StoredTensor(
            path, name, tuple(entry["shape"]), DTYPES[entry["dtype"]], 8 + length + entry["data_offsets"][0]
        )
        for name, entry in header.items()
    }


def whole(tensor: StoredTensor) -> Tensor:
    with _opened(tensor) as file:
        return _checked(tensor, _read(file, tensor, tensor.offset, tensor.shape))


def row_blocks(tensor: StoredTensor, rows: int) -> Iterator[tuple[int, Tensor]]:
    """(first row, (n, …)) with n ≤ `rows`, in order, to the last row."""
    with _opened(tensor) as file:
        for first in range(0, tensor.shape[0], rows):
            count = min(rows, tensor.shape[0] - first)
            yield first, _checked(tensor, _read_rows(file, tensor, first, count))


def column_blocks(tensor: StoredTensor, columns: int) -> Iterator[tuple[int, Tensor]]:
    """(first column, (n, R)) of a matrix (R, C): n ≤ `columns` of its columns, as rows."""
    n_rows, n_columns = tensor.shape
    item = tensor.dtype.itemsize
    with _opened(tensor) as file:
        for first in range(0, n_columns, columns):
            count = min(columns, n_columns - first)
            block, memory = _room(tensor, (n_rows, count))
            for row in range(n_rows):
                start = tensor.offset + (row * n_columns + first) * item
                _read_into(memory[row * count * item : (row + 1) * count * item], file, tensor, start)
            yield first, _checked(tensor, block.T.contiguous())


def rows(tensor: StoredTensor, ids: Tensor) -> Tensor:
    """(n, C): rows of a matrix (R, C), `ids` int64 (n,) in any order. Each is read once, neighbours together."""
    unique, place = _within(ids, tensor.shape[0]).unique(return_inverse=True)
    out = torch.empty(len(ids), tensor.shape[1])
    row_bytes = tensor.row_bytes()
    at_once = max(1, BLOCK // row_bytes)
    with _opened(tensor) as file:
        for first in range(0, len(unique), at_once):
            part = unique[first : first + at_once]
            block, memory = _room(tensor, (len(part), tensor.shape[1]))
            starts = [0, *((part.diff() > 1).nonzero().flatten() + 1).tolist()]
            for a, b, row in zip(starts, [*starts[1:], len(part)], part[starts].tolist(), strict=True):
                _read_into(memory[a * row_bytes : b * row_bytes], file, tensor, tensor.offset + row * row_bytes)
            wanted = (place >= first) & (place < first + len(part))
            out[wanted] = block[place[wanted] - first].float()
    return _checked(tensor, out)


def columns(tensor: StoredTensor, ids: Tensor) -> Tensor:
    """(n, R): columns of a matrix (R, C) as rows. The whole matrix passes by once, a block of rows at a time."""
    ids = _within(ids, tensor.shape[1])
    out = torch.empty(len(ids), tensor.shape[0])
    at_once = max(1, BLOCK // tensor.row_bytes())
    with _opened(tensor) as file:
        for first in range(0, tensor.shape[0], at_once):
            count = min(at_once, tensor.shape[0] - first)
            out[:, first : first + count] = _read_rows(file, tensor, first, count)[:, ids].T.float()
    return _checked(tensor, out)


def _within(ids: Tensor, n: int) -> Tensor:
    ids = ids.cpu()
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < n:
        raise IndexError(f"ids from {int(ids.min())} to {int(ids.max())}, but there are {n}")
    return ids


@contextmanager
def _opened(tensor: StoredTensor) -> Iterator[BufferedReader]:
    try:
        with tensor.path.open("rb") as file:
            yield file
    except OSError as problem:
        raise TracerError(
            f"can't read {tensor.path} ({first_line(problem)}); see that it is there, then load the set again"
        ) from problem


def _read_rows(file: BufferedReader, tensor: StoredTensor, first: int, count: int) -> Tensor:
    return _read(file, tensor, tensor.offset + first * tensor.row_bytes(), (count, *tensor.shape[1:]))


def _read(file: BufferedReader, tensor: StoredTensor, start: int, shape: tuple[int, ...]) -> Tensor:
    block, memory = _room(tensor, shape)
    _read_into(memory, file, tensor, start)
    return block


def _room(tensor: StoredTensor, shape: tuple[int, ...]) -> tuple[Tensor, memoryview]:
    """A tensor to be filled, and its bytes."""
    block = torch.empty(shape, dtype=tensor.dtype)
    return block, block.reshape(-1).view(torch.uint8).numpy().data


def _read_into(memory: memoryview, file: BufferedReader, tensor: StoredTensor, start: int) -> None:
    file.seek(start)
    if file.readinto(memory) != len(memory):
        raise TracerError(f"{tensor.path} was cut short since it was opened; download or copy it again")


def _checked(tensor: StoredTensor, block: Tensor) -> Tensor:
    """In float32. A sum is finite only if all values are, and costs a third of looking at each."""
    block = block.float()
    if not block.sum().isfinite() and not block.isfinite().all():
        raise TracerError(f"{tensor.path}: {tensor.name} holds values that are not finite; download the set again")
    return block

"""Texts to look at features with: a text file, JSON lines, or the corpus that comes along; cut into equal contexts."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracer.errors import TracerError
from tracer.replacement import ReplacementModel

BUNDLED = Path(__file__).parent / "corpora" / "gemma-3-270m-samples.jsonl.gz"
CONTEXT = 128  # tokens, the special one in front included


def texts(path: Path) -> Iterator[str]:
    """Of JSON lines each string, or each object's `text`; of a text file each block between empty lines.

    Raises TracerError for a file that can't be read, or a line that holds no text.
    """
    try:
        data = _bytes(path).decode("utf-8")
    except (OSError, UnicodeError, EOFError) as problem:
        raise TracerError(f"can't read the corpus {path}: give a UTF-8 text file, or JSON lines") from problem
    if ".jsonl" not in path.suffixes:
        yield from (block for block in data.split("\n\n") if block.strip())
        return
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found: Any = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise TracerError(f"{path}, line {number}: this is no JSON") from problem
        text = found.get("text") if isinstance(found, dict) else found
        if not isinstance(text, str):
            raise TracerError(f"{path}, line {number}: give a string, or an object with the field text")
        yield text


def contexts(path: Path, model: ReplacementModel) -> Tensor:
    """(n, CONTEXT) int64: all texts one after another, each row with what the model puts before a prompt in front.

    Raises TracerError where the texts don't fill one row.
    """
    usual = model.token_ids("x")
    prefix = usual[: len(model.excluded_positions(usual))]
    room = CONTEXT - len(prefix)
    ids: list[int] = []
    for text in texts(path):
        ids += model.tokenizer(text, add_special_tokens=False)["input_ids"]
    n = len(ids) // room
    if n == 0:
        raise TracerError(f"the corpus {path} has {len(ids)} tokens; give at least {room}")
    rows = torch.tensor(ids[: n * room]).view(n, room)
    return torch.cat([torch.tensor(prefix, dtype=torch.int64).expand(n, -1), rows], 1)


def fingerprint(rows: Tensor) -> str:
    return hashlib.sha256(rows.to(torch.int64).numpy().tobytes()).hexdigest()


def _bytes(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    with gzip.open(path) as file:
        return file.read()

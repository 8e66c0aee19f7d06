"""The prompts of a batch, from somebody's file: CSV with a header, or JSON lines. Each fault names its line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.csv_rows import csv_rows
from lab.utf8 import text_of
from service.batches.folder import LONGEST_TABLE, MOST_ITEMS, Asked
from tracer import TracerError
from tracer.errors import first_fault
from tracer.interchange.files import reading

COLUMNS = tuple(Asked.model_fields)


def read_prompts(path: Path, name: str = "") -> list[Asked]:
    """In the order of the file; at least one. In CSV a number is a token's id and `tokens` is like `1,5,7`.

    `name`: what people call it. Raises TracerError and LabError, in one line, for a file that can't be read or makes no
    sense.
    """
    if path.suffix not in (".csv", ".jsonl"):
        raise TracerError(f"{path.name} is neither .csv nor .jsonl: give prompts in one of the two")
    name = name or path.name
    with reading(path, LONGEST_TABLE) as file:
        text = text_of(file.read(), LONGEST_TABLE, "split it")
    found: list[Asked] = []
    for where, given in _csv_rows(text) if path.suffix == ".csv" else _json_lines(text):
        if len(found) == MOST_ITEMS:
            raise TracerError(f"{name} has more than {MOST_ITEMS:,} prompts: split it")
        found.append(_asked(f"{name}, {where}", given))
    if not found:
        raise TracerError(f"{name} holds no prompt: give at least one")
    return found


def _asked(where: str, given: Any) -> Asked:
    try:
        asked = Asked.model_validate_json(given) if isinstance(given, str) else Asked.model_validate(given)
    except ValidationError as problem:
        raise TracerError(f"{where}: {first_fault(problem)}; correct it") from problem
    if (asked.prompt is None) == (asked.tokens is None):
        raise TracerError(f"{where}: give a prompt or tokens, one of the two")
    if asked.minus is not None and asked.target is None:
        raise TracerError(f"{where} has a minus without a target: give both, or neither")
    return asked


def _json_lines(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", line


def _csv_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, row in csv_rows(text, _check_header):
        yield where, {name: _cell(name, cell) for name, cell in row.items()}


def _check_header(header: list[str]) -> None:
    strange = [name for name in header if name not in COLUMNS]
    if strange or len(set(header)) < len(header) or not {"prompt", "tokens"} & set(header):
        raise TracerError(f"line 1 must name columns, each once, among {', '.join(COLUMNS)}; prompt or tokens too")


def _cell(name: str, cell: str) -> Any:
    if name == "tokens":
        try:
            return tuple(json.loads(f"[{cell}]"))
        except (ValueError, RecursionError):
            return cell  # which is refused, with the line
    if name in ("target", "minus") and cell.isascii() and cell.isdigit():
        return int(cell[:20])
    return cell

"""A run as a bundle: one zip, or a folder, of the files that files.py makes. Reading one trusts nothing in it.

Nothing is unpacked: of each file that a bundle is made of, as many bytes are read as such a file may have; what else is
there (a report, a table for people) is not looked at.
"""

import io
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import ValidationError

from lab.errors import LabError
from lab.freeze import read as read_hypothesis
from lab.prompts import MOST_PROMPTS
from lab.runs.bodies import DrawnControls, PromptFigures, RunBody, version_hash
from lab.runs.conclude import result
from lab.runs.files import LONGEST, FiguresLine, RunFile, contents
from lab.runs.fit import refuse_unfit
from lab.runs.keeping import Kept
from lab.runs.result import Result
from tracer.errors import first_fault, first_line

_TAKE = "give the folder or the zip that `test --out` or the page wrote"
MOST_FILES = 200  # in a zip
LONGEST_ZIP = 50_000_000  # bytes
MOST_LINES = (
    2 * MOST_PROMPTS + 2
)  # of figures: prompts, off-target ones, the control sets, and what is left by the last


@dataclass(frozen=True)
class Bundle:
    """`found` follows from the figures, computed anew; `said` is what result.json says that it was."""

    run: RunBody
    started: datetime
    kept: Kept
    found: Result
    said: Result
    notebook: tuple[float, ...]


def pack(
    run: RunBody, started: datetime, kept: Kept, found: Result, report: str = "", notebook: Sequence[float] = ()
) -> bytes:
    """The zip, see `files.contents`. The same run gives the same bytes."""
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in contents(run, started, kept, found, report, notebook).items():
            file = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            file.compress_type, file.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(file, content)
    return packed.getvalue()


def read(path: Path) -> Bundle:
    """Of a zip or a folder. Raises LabError, in one line that names it, for what is no bundle or does not fit together:
    another hypothesis than the one that ran, figures that are not of it. Whether its freeze holds is asked of `fault`.
    """
    try:
        files = _of_folder(path) if path.is_dir() else _of_zip(_all_of(path, LONGEST_ZIP))
        return _bundle(files)
    except LabError as problem:
        raise LabError(f"{path.name}: {problem}") from problem


def _bundle(files: dict[str, bytes]) -> Bundle:
    try:
        hypothesis = read_hypothesis(files["hypothesis.yaml"])
    except LabError as problem:
        raise LabError(f"hypothesis.yaml: {problem}") from problem
    try:
        told = RunFile.model_validate_json(files["run.json"])
    except ValidationError as problem:
        raise LabError(f"run.json is not that of a run ({first_fault(problem)}): take the bundle anew") from problem
    if told.hash != version_hash(hypothesis):
        raise LabError("run.json is of another hypothesis than hypothesis.yaml, or that was changed: take both anew")
    run = RunBody(
        title=told.title,
        hypothesis=hypothesis,
        hash=told.hash,
        full_grid=told.full_grid,
        predicts=told.predicts,
        made_with=told.made_with,
        machine=told.machine,
    )
    kept = _kept(_lines(files["figures.jsonl"]))
    refuse_unfit(run, kept)
    try:
        said = Result.model_validate_json(files["result.json"])
    except ValidationError as problem:
        raise LabError(f"result.json is no result ({first_fault(problem)}): take the bundle anew") from problem
    found = result(run, told.started, kept, told.notebook)
    return Bundle(run, told.started, kept, found, said, told.notebook)


def _lines(content: bytes) -> Iterator[FiguresLine]:
    lines = content.split(b"\n", MOST_LINES)
    if len(lines) > MOST_LINES:
        raise LabError(f"figures.jsonl has more than {MOST_LINES:,} lines: no run has so many prompts")
    for number, line in enumerate(lines, start=1):
        if line:
            try:
                yield FiguresLine.model_validate_json(line)
            except ValidationError as problem:
                raise LabError(
                    f"figures.jsonl: line {number} is no figures ({first_fault(problem)}): take the bundle anew"
                ) from problem


def _kept(lines: Iterator[FiguresLine]) -> Kept:
    prompts: dict[str, PromptFigures] = {}
    drawn: DrawnControls | None = None
    times: dict[str, datetime] = {}
    for line in lines:
        part = line.figures.part
        if part in times:
            raise LabError(f"figures.jsonl has {part} twice: take the bundle anew")
        times[part] = line.written
        if isinstance(line.figures, DrawnControls):
            drawn = line.figures
        else:
            prompts[part] = line.figures
    return Kept(prompts, drawn, times)


# -- bytes ------------------------------------------------------------------------------------------------------------


def _of_folder(folder: Path) -> dict[str, bytes]:
    return {name: _all_of(folder / name, most) for name, most in LONGEST.items()}


def _all_of(path: Path, most: int) -> bytes:
    """Links are not followed: one in a bundle could lead to anything on this machine."""
    try:
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise LabError(f"{path.name} is no file: {_TAKE}")
            content = file.read(most + 1)
    except OSError as problem:
        raise LabError(f"{path.name} can't be read ({first_line(problem)}): {_TAKE}") from problem
    return _bounded(path.name, content, most)


def _of_zip(content: bytes) -> dict[str, bytes]:
    _refuse_long_listing(content)
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            files = {name: _member(archive, name, most) for name, most in LONGEST.items()}
    except (BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError) as problem:
        raise LabError(f"it is no zip, or a broken one ({first_line(problem)}): take the bundle anew") from problem
    return files


def _refuse_long_listing(content: bytes) -> None:
    """Before zipfile reads all of it. What ends a zip (22 bytes, if no comment follows) says how long its listing is;
    one for more than 4 GB has another such record before it."""
    end = content[-22:]
    if end[:4] != b"PK\5\6" or content[-42:-38] == b"PK\6\7":
        raise LabError(f"it is no zip of a run: {_TAKE}")
    files, size = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if files > MOST_FILES or size > 1_000 * MOST_FILES:
        raise LabError(f"it holds more than {MOST_FILES} files: give the zip that the page wrote")


def _member(archive: ZipFile, name: str, most: int) -> bytes:
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        what = f"has {name} twice" if found else f"has no {name} at its top"
        raise LabError(f"it {what}: give the zip that the page wrote")
    if found[0].flag_bits & 1 or found[0].compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise LabError(f"{name} is encrypted or packed in an unusual way: pack it again as a plain zip")
    with archive.open(found[0]) as file:
        return _bounded(name, file.read(most + 1), most)


def _bounded(name: str, content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise LabError(f"{name} is longer than {most:,} bytes, the most that is read of it")
    return content

"""A run as files, for people to look at and to be read again: what each holds. As one zip, and back: bundle.py."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from lab.bodies import Line, Number, Part
from lab.errors import LabError
from lab.freeze import Moment, write
from lab.runs.bodies import DrawnControls, MadeWith, PromptFigures, RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Result
from lab.splits import Sha256
from lab.yaml_text import MOST_BYTES
from tracer.errors import first_line
from tracer.interchange.files import writing

COLUMNS = ("where", "prompt", "excluded", "condition", "dose", "set", "value", "kl")
"""`condition`: baseline, donor (without edits too), edit, second (circuit), held (mediators), a kind of controls, or
that with mediators held.
`dose`: 1 is the primary one; `set`: the first is 1; `value`: the metric; `kl`: nats. Figures to nine digits."""

Row = tuple[str, int, bool, str, int | None, int | None, str, str | None]


LONGEST = {  # bytes, of each file that is read again
    "hypothesis.yaml": MOST_BYTES,
    "run.json": 1_000_000,
    "figures.jsonl": 30_000_000,
    "result.json": 20_000_000,
}


class RunFile(Part):
    """run.json: what the figures were made with; beside hypothesis.yaml all that a run is."""

    format: Literal[1] = 1
    hash: Sha256  # of hypothesis.yaml, see `version_hash`
    title: Line
    started: Moment
    full_grid: bool
    predicts: bool
    made_with: MadeWith
    machine: Line
    notebook: tuple[Number, ...] = ()  # p of its other hypotheses, with which the result was corrected


class FiguresLine(Part):
    """One line of figures.jsonl, to the last digit: the control sets, or what was measured on one prompt."""

    written: Moment
    figures: PromptFigures | DrawnControls


def save(
    folder: Path,
    run: RunBody,
    started: datetime,
    kept: Kept,
    found: Result,
    report: str = "",
    notebook: Sequence[float] = (),
) -> None:
    """The files of a run in a folder. Raises LabError where that can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents(run, started, kept, found, report, notebook).items():
            with writing(folder / name) as file:
                file.write(content)
    except OSError as problem:
        raise LabError(f"{folder} can't be written ({first_line(problem)}): give another folder") from problem


def contents(
    run: RunBody, started: datetime, kept: Kept, found: Result, report: str = "", notebook: Sequence[float] = ()
) -> dict[str, bytes]:
    """Of each file, by name. `report`: Markdown; without it there is no report.md. `notebook`: as `conclude.result`.

    Raises LabError for a run too long to be read again."""
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(COLUMNS)
    for figures in kept.prompts.values():
        lines.writerows(_rows(figures))
    told = {
        "hypothesis.yaml": write(run.hypothesis),
        "run.json": _run_file(run, started, notebook).model_dump_json(indent=2) + "\n",
        "figures.jsonl": "".join(line.model_dump_json(exclude_none=True) + "\n" for line in _lines(kept, started)),
        "figures.csv": table.getvalue(),
        "result.json": found.model_dump_json(indent=2) + "\n",
    } | ({"report.md": report} if report else {})
    files = {name: text.encode() for name, text in told.items()}
    for name, most in LONGEST.items():
        if len(files[name]) > most:
            raise LabError(
                f"{name} would be longer than {most:,} bytes, and could not be read again: run fewer controls"
            )
    return files


def _run_file(run: RunBody, started: datetime, notebook: Sequence[float]) -> RunFile:
    return RunFile(
        hash=run.hash,
        title=run.title,
        started=started,
        full_grid=run.full_grid,
        predicts=run.predicts,
        made_with=run.made_with,
        machine=run.machine,
        notebook=tuple(notebook),
    )


def _lines(kept: Kept, started: datetime) -> Iterator[FiguresLine]:
    def written(part: str) -> datetime:
        return kept.times.get(part, started)

    if kept.drawn is not None:
        yield FiguresLine(written=written(kept.drawn.part), figures=kept.drawn)
    for part, figures in kept.prompts.items():
        yield FiguresLine(written=written(part), figures=figures)


def _rows(figures: PromptFigures) -> Iterator[Row]:
    start = figures.where, figures.number, figures.excluded
    yield *start, "baseline", None, None, _digits(figures.baseline.value), "0"
    if figures.donor is not None:
        yield *start, "donor", None, None, _digits(figures.donor), None
    for dose, reading in enumerate(figures.doses, start=1):
        yield *start, "edit", dose, None, _digits(reading.value), _digits(reading.kl)
    for name, other in (("second", figures.second), ("held", figures.held)):
        if other is not None:
            yield *start, name, 1, None, _digits(other.value), _digits(other.kl)
    for family in figures.controls:
        for name, doses in ((family.kind, family.values), (f"{family.kind}, held", family.held)):
            for dose, sets in enumerate(doses, start=1):
                for number, value in enumerate(sets, start=1):
                    yield *start, name, dose, number, _digits(value), None


def _digits(figure: float) -> str:
    return f"{figure:.9g}"

"""A run as files: the hypothesis, every figure in one long table, and what follows from them."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from lab.errors import LabError
from lab.freeze import write
from lab.runs.bodies import PromptFigures, RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Result
from tracer.errors import first_line
from tracer.interchange.files import writing

COLUMNS = ("where", "prompt", "excluded", "condition", "dose", "set", "value", "kl")
"""`condition`: baseline, edit, second (circuit), held (mediators), a kind of controls, or that with mediators held.
`dose`: 1 is the primary one; `set`: the first is 1; `value`: the metric; `kl`: nats."""

Row = tuple[str, int, bool, str, int | None, int | None, float, float | None]


def save(folder: Path, run: RunBody, kept: Kept, found: Result) -> None:
    """hypothesis.yaml, figures.csv and result.json. Raises LabError where the folder can't be written."""
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(COLUMNS)
    for figures in kept.prompts.values():
        lines.writerows(_rows(figures))
    contents = {
        "hypothesis.yaml": write(run.hypothesis),
        "figures.csv": table.getvalue(),
        "result.json": found.model_dump_json(indent=2) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            with writing(folder / name) as file:
                file.write(text.encode())
    except OSError as problem:
        raise LabError(f"{folder} can't be written ({first_line(problem)}): give another folder") from problem


def _rows(figures: PromptFigures) -> Iterator[Row]:
    start = figures.where, figures.number, figures.excluded
    yield *start, "baseline", None, None, figures.baseline.value, 0.0
    for dose, reading in enumerate(figures.doses, start=1):
        yield *start, "edit", dose, None, reading.value, reading.kl
    for name, other in (("second", figures.second), ("held", figures.held)):
        if other is not None:
            yield *start, name, 1, None, other.value, other.kl
    for family in figures.controls:
        for name, doses in ((family.kind, family.values), (f"{family.kind}, held", family.held)):
            for dose, sets in enumerate(doses, start=1):
                for number, value in enumerate(sets, start=1):
                    yield *start, name, dose, number, value, None

"""The notebook: hypotheses with their frozen versions and runs, and the p values over which a verdict is corrected.

Reads the record only. What a run shows is computed by who asks (`ResultOf`), who may remember it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.errors import LabError
from lab.freeze import Checked, version_file
from lab.hypothesis import SHOW_NOTHING_IS_THERE, HypothesisBody
from lab.lab import Lab
from lab.runs.bodies import RunBody, run_hashes
from lab.runs.result import Result
from lab.views import Person, Record

Run = Record[RunBody]
ResultOf = Callable[[Run, tuple[float, ...]], Result]
"""What a run shows, with p corrected over these others. May raise LabError for figures that can't be read."""


@dataclass(frozen=True)
class Entry:
    """One hypothesis of the list."""

    record: Record[HypothesisBody]
    checked: list[Checked]  # its frozen versions, the first one first
    runs: list[Run]  # of these versions, and of the latest one as a draft, the latest first
    finished: dict[str, int]  # by run, prompts of which figures are kept

    @property
    def fault(self) -> str | None:
        """What no longer is as it was frozen."""
        return next((checked.fault for checked in self.checked if checked.fault is not None), None)

    def complete(self, run: Run) -> bool:
        return self.finished.get(run.id, 0) >= total(run.head.body.body)


@dataclass(frozen=True)
class Row:
    """An entry with what became of it."""

    entry: Entry
    notebook: str | None
    run: Run | None  # of those that can be read: the latest complete and confirmatory, else complete, else the latest
    result: Result | None
    p: float | None  # the one that decides
    corrected: float | None
    trouble: str | None = None  # why it can't be read, or one that would count before it


def total(body: HypothesisBody) -> int:
    """Prompts of a run, off-target ones too. `body`: with its prompts split."""
    return len(body.prompts_for("test")) + len(body.off_target)


def entries(lab: Lab, viewer: Person, troubles: list[str], *, deleted: bool = False) -> list[Entry]:
    """All that this person may see, the latest change first. `troubles`: told what can't be read."""
    records = lab.find("hypothesis", viewer, deleted=deleted, troubles=troubles)
    runs: dict[str, list[Run]] = {}
    for run in lab.find("run", viewer, troubles=troubles):
        runs.setdefault(run.about.hypothesis or "", []).append(run)
    finished = lab.finished([run.id for some in runs.values() for run in some], viewer)
    found = []
    for record in records:
        try:
            checked = lab.check_freezes(record.id, viewer)
        except LabError as problem:
            troubles.append(f"{record.head.body.title}: {problem}")
            continue
        freezes = [one.freeze for one in checked]
        latest = version_file(record.head.body, record.head.number, freezes)
        hashes = dict.fromkeys([*(freeze.hash for freeze in freezes), *run_hashes(latest)])
        mine = [run for hash in hashes for run in runs.get(hash, [])]
        found.append(Entry(record, checked, sorted(mine, key=lambda run: run.created, reverse=True), finished))
    return found


def rows(shown: Sequence[Entry], gone: Sequence[Entry], result_of: ResultOf) -> list[Row]:
    """Each of `shown` with its p corrected over its notebook. `gone`: those deleted, which count in it all the same:
    a claim that was tested is not untested by being taken away."""
    alone = {entry.record.id: _alone(entry, result_of) for entry in [*shown, *gone]}
    found = []
    for entry in shown:
        row = alone[entry.record.id]
        others = _others(row, list(alone.values()))
        if row.run is not None and row.p is not None and row.notebook is not None and _confirmatory(row):
            result = result_of(row.run, others)
            corrected = None if result.findings is None else result.findings.corrected
            row = replace(row, result=result, corrected=row.p if corrected is None else corrected)
        found.append(row)
    return found


def others(entry: Entry, run: Run, all: Sequence[Entry], result_of: ResultOf) -> tuple[float, ...]:
    """The p values of the other claims of a run's notebook. None where the run is not confirmatory or the hypothesis
    is in no notebook: then nothing is corrected."""
    mine = _row(entry, run, result_of)
    if not _confirmatory(mine):
        return ()
    return _others(mine, [_alone(one, result_of) for one in all if one.record.id != entry.record.id])


def _others(row: Row, all: Sequence[Row]) -> tuple[float, ...]:
    if row.notebook is None:
        return ()
    return tuple(
        other.p
        for other in all
        if other.entry.record.id != row.entry.record.id
        and other.notebook == row.notebook
        and other.p is not None
        and _confirmatory(other)
    )


def deciding_p(body: HypothesisBody, found: Result) -> float | None:
    """None before the run is complete, and where it could not be computed."""
    findings = found.findings
    if findings is None:
        return None
    if body.kind in SHOW_NOTHING_IS_THERE:
        return None if findings.equivalence is None else findings.equivalence.p
    first = body.controls[0].kind
    return next((against.p for against in findings.controls if against.kind == first), None)


def _alone(entry: Entry, result_of: ResultOf) -> Row:
    """With p as it is."""
    complete = [run for run in entry.runs if entry.complete(run)]
    first = entry.checked[0].freeze.hash if entry.checked else None
    confirmatory = [run for run in complete if run.about.hypothesis == first]
    unread: Row | None = None
    for run in {run.id: run for run in [*confirmatory, *complete, *entry.runs]}.values():
        row = _row(entry, run, result_of)
        if row.trouble is None:
            return row if unread is None else replace(row, trouble=unread.trouble)
        unread = unread or row
    return unread or Row(entry, entry.record.head.body.notebook, None, None, None, None)


def _row(entry: Entry, run: Run, result_of: ResultOf) -> Row:
    body = run.head.body.hypothesis.hypothesis
    try:
        found = result_of(run, ())
    except LabError as problem:
        return Row(entry, body.notebook, run, None, None, None, str(problem))
    return Row(entry, body.notebook, run, found, deciding_p(body, found), None)


def _confirmatory(row: Row) -> bool:
    return row.result is not None and row.result.complete and row.result.exploratory is None

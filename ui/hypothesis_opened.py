"""A hypothesis at one of its versions, as the page reads it from the record: its freezes checked, its runs found."""

from dataclasses import dataclass

from lab import Checked, HypothesisBody, HypothesisFile, LabError, NotFound, Record, Revision
from lab.freeze import version_file
from lab.runs.bodies import RunBody, draft_hash, run_hashes
from lab.runs.notebook import total
from ui.session import get_lab, me


@dataclass(frozen=True)
class Opened:
    record: Record[HypothesisBody]
    history: list[Revision[HypothesisBody]]  # the latest first
    checked: dict[int, Checked]  # frozen versions, by number
    number: int  # of the version that is shown
    file: HypothesisFile
    runs: list[Record[RunBody]]  # of this version, the latest first
    early: list[Record[RunBody]]  # those of its text that were begun before it was frozen
    finished: dict[str, int]  # by run, prompts of which figures are kept

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def body(self) -> HypothesisBody:
        return self.file.hypothesis

    @property
    def is_latest(self) -> bool:
        return self.number == self.record.head.number

    @property
    def faults(self) -> list[str]:
        return [checked.fault for checked in self.checked.values() if checked.fault is not None]

    def done(self, run: Record[RunBody]) -> int:
        return self.finished.get(run.id, 0)

    def complete(self, run: Record[RunBody]) -> bool:
        return self.done(run) >= total(run.head.body.body)


def open_version(id: str, number: int | None) -> Opened:
    """The latest one where no number is given. Raises LabError: NotFound, or for what can't be read."""
    lab, viewer = get_lab(), me()
    record: Record = lab.get(id, viewer)
    if record.kind != "hypothesis":
        raise LabError("it leads to something that is no hypothesis")
    history = lab.history(id, viewer)
    checked = {one.freeze.version: one for one in lab.check_freezes(id, viewer)}
    chosen = record.head.number if number is None else number
    body = next((revision.body for revision in history if revision.number == chosen), None)
    if body is None:
        raise NotFound(f"there is no version {chosen}, or its text was erased")
    file = version_file(body, chosen, [one.freeze for one in checked.values()])
    runs = [run for hash in run_hashes(file) for run in lab.runs(viewer, hash)]
    runs.sort(key=lambda run: run.created, reverse=True)
    early = [run for run in runs if file.freeze is not None and run.about.hypothesis == draft_hash(file)]
    return Opened(record, history, checked, chosen, file, runs, early, lab.finished([run.id for run in runs], viewer))

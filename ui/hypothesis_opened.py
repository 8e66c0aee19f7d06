"""A hypothesis at one of its versions, as the page reads it from the record: its freezes checked, its runs found."""

from dataclasses import dataclass

from lab import Checked, HypothesisBody, HypothesisFile, LabError, NotFound, Record, Revision
from lab.runs.bodies import RunBody, version_hash
from lab.runs.notebook import draft_hash, total
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
    before = [one.freeze.hash for version, one in checked.items() if version < chosen]
    parent = before[-1] if before else None
    freeze = checked[chosen].freeze if chosen in checked else None
    file = HypothesisFile(hypothesis=body, freeze=freeze, parent=parent if freeze is None else None)
    hashes = [version_hash(file)] + ([] if freeze is None else [freeze.hash])
    runs = [run for hash in dict.fromkeys(hashes) for run in lab.runs(viewer, hash)]
    early = [] if freeze is None else lab.runs(viewer, draft_hash(body, parent))
    runs = sorted({run.id: run for run in [*runs, *early]}.values(), key=lambda run: run.created, reverse=True)
    return Opened(record, history, checked, chosen, file, runs, early, lab.finished([run.id for run in runs]))

"""Badges of a hypothesis: status and verdict, by word and form; never by colour alone."""

from datetime import datetime

from lab.runs.notebook import Entry, Row, total
from lab.runs.result import Result
from service import JobState, JobView, Service
from ui.evidence import BADGES

DRAFT = ":gray-badge[:material/edit: draft]"
FROZEN = ":blue-badge[:material/lock: frozen]"
EXPLORATORY = ":orange-badge[:material/science: exploratory]"
TAMPERED = ":red-badge[:material/warning: tampered with]"


def verdict_badge(found: Result | None) -> str:
    """As Markdown; a run without a verdict has none."""
    if found is None or found.verdict is None:
        return ""
    word, icon, colour = BADGES[found.verdict.decision]
    return f":{colour}-badge[{icon} {word.lower()}]"


def state_of(row: Row, job: JobView | None) -> str:
    """In words, for the filter."""
    entry = row.entry
    if entry.fault is not None:
        return "tampered with"
    if job is not None:
        return "running"
    if row.run is None:
        return "frozen" if entry.checked else "draft"
    if not entry.complete(row.run):
        return "cut off"
    return "finished" if row.result is not None and row.result.exploratory is None else "exploratory"


def state_badge(row: Row, job: JobView | None) -> str:
    state = state_of(row, job)
    if state == "running":
        assert job is not None
        if job.state is JobState.QUEUED:
            return f":blue-badge[:material/hourglass: queued, number {job.position}]"
        return f":blue-badge[:material/play_arrow: running {_of(row.entry, job.key)}]"
    if state == "cut off":
        assert row.run is not None
        early = f" {EXPLORATORY}" if row.result is not None and row.result.exploratory is not None else ""
        return f":gray-badge[:material/pause: cut off, {_of(row.entry, row.run.id)}]{early}"
    return {
        "tampered with": TAMPERED,
        "draft": DRAFT,
        "frozen": FROZEN,
        "finished": ":gray-badge[:material/done_all: finished]",
        "exploratory": EXPLORATORY,
    }[state]


def running(service: Service) -> dict[str, JobView]:
    """Jobs that are not over, by the run that they are of."""
    return {job.key: job for job in reversed(service.jobs()) if job.kind == "run" and not job.over}


def job_of(entry: Entry, jobs: dict[str, JobView]) -> JobView | None:
    return next((jobs[run.id] for run in entry.runs if run.id in jobs), None)


def when(time: datetime) -> str:
    return time.astimezone().strftime("%d %b %Y, %H:%M")


def _of(entry: Entry, run_id: str) -> str:
    run = next(run for run in entry.runs if run.id == run_id)
    return f"{entry.finished.get(run_id, 0)} of {total(run.head.body.body)}"

"""What a tab knows of a batch whose prompts it hands in, as jobs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from service import JobState, JobView


@dataclass
class Feed:
    """The service forgets jobs that are over; this does not."""

    on: bool = False
    handed: dict[str, str] = field(default_factory=dict)  # jobs of this tab, by their graph's key
    given_up: dict[str, str] = field(default_factory=dict)  # why a graph is not asked for again, by key
    forgiven: set[str] = field(default_factory=set)  # jobs that failed, and whose prompts are tried again
    full: bool = False  # what was traced is not kept
    refused: str = ""  # why nothing more was taken

    def take_in(self, jobs: Mapping[str, JobView], there: set[str]) -> None:
        """`jobs`: the latest of each key. `there`: keys of the graphs that are kept, found after `jobs`."""
        for key, job in jobs.items():
            if job.id in self.forgiven or not job.over:
                continue
            if job.state is JobState.FAILED or (job.state is JobState.CANCELLED and job.error):
                self.given_up[key] = job.error or ""
            elif job.state is JobState.CANCELLED and self.handed.get(key) == job.id:
                self.given_up[key] = "cancelled"
        for key in self.handed.keys() - self.given_up.keys() - there:
            if key not in jobs or jobs[key].state is JobState.DONE:
                self.given_up[key] = "its graph was traced, but could not be kept"
                self.full = True
        for key in there:
            self.given_up.pop(key, None)

    def begin(self, failed: Collection[str] = ()) -> None:
        """`failed`: jobs that are tried again."""
        self.on, self.full, self.refused = True, False, ""
        self.handed.clear()
        self.given_up.clear()
        self.forgiven.update(failed)

    def end(self) -> None:
        self.on = False
        self.handed.clear()

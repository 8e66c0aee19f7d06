"""Whose job comes next: of the person whose last turn is longest ago the oldest one. Not locked: its owner is."""

from service.jobs import Job


class Turns:
    def __init__(self) -> None:
        self._waiting: list[Job] = []  # as they came
        self._last: dict[str, int] = {}  # of each person the number of their last turn
        self._turn = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job: Job) -> None:
        self._waiting.append(job)

    def remove(self, job: Job) -> None:
        self._waiting.remove(job)

    def of(self, person: str) -> int:
        """How many of this person's wait."""
        return sum(job.owner == person for job in self._waiting)

    def order(self) -> list[Job]:
        """As they will have their turns, if nothing more comes."""
        left, last, turn, order = list(self._waiting), dict(self._last), self._turn, []
        while left:
            job = min(left, key=lambda job: last.get(job.owner, -1))  # of equals the first, which came first
            left.remove(job)
            order.append(job)
            last[job.owner] = turn
            turn += 1
        return order

    def take(self, kind: str | None = None) -> Job | None:
        """The next one (of this kind) has its turn."""
        job = next((job for job in self.order() if kind in (None, job.request.kind)), None)
        if job is not None:
            self._waiting.remove(job)
            self._last[job.owner] = self._turn
            self._turn += 1
        return job

"""What happens to jobs, told to the log and counted: which job, whose, how it ended, how long it took.

Nothing that a person typed, unless the settings say so.
"""

import logging
from collections.abc import Mapping

from service.jobs import Job, JobState
from service.metrics import Metrics

log = logging.getLogger(__name__)


class Telling:
    def __init__(self, metrics: Metrics, prompts: bool) -> None:
        """`prompts`: may the log hold them, and what is said of them."""
        self._metrics, self._prompts = metrics, prompts

    def asked(self, job: Job) -> None:
        """It waits now, or was over at once as the cache had it."""
        if job.request.kind == "trace":
            (self._metrics.hits if job.cached else self._metrics.misses).inc()
        texts = {"prompt": job.request.title} if self._prompts else {}
        self._log("found" if job.cached else "asked", job, {"person": job.owner} | texts)

    def joined(self, job: Job, person: str) -> None:
        self._log("joined", job, {"person": person})

    def left(self, job: Job, person: str) -> None:
        self._log("left", job, {"person": person})

    def started(self, job: Job) -> None:
        waited = (job.started or job.created) - job.created
        self._log("started", job, {"person": job.owner, "waited": round(waited, 3)})

    def over(self, job: Job) -> None:
        kind, seconds = job.request.kind, None
        self._metrics.jobs.labels(kind, job.state).inc()
        if job.started is not None and job.finished is not None:  # it had a turn
            seconds = max(0.0, job.finished - job.started)  # a clock may be set back
            self._metrics.seconds.labels(kind).observe(seconds)
        facts: dict[str, object] = {"persons": list(job.watchers), "outcome": str(job.state)}
        if seconds is not None:
            facts["seconds"] = round(seconds, 3)
        if self._prompts and job.error:
            facts["why"] = job.error
        self._log("over", job, facts, logging.WARNING if job.state is JobState.FAILED else logging.INFO)

    def _log(self, what: str, job: Job, facts: Mapping[str, object], level: int = logging.INFO) -> None:
        log.log(level, "job %s", what, extra={"job": job.id, "kind": job.request.kind, **facts})

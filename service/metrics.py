"""What Prometheus may ask of a service: figures alone, no names and no texts. Knows how to count, not when."""

import math
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600)  # a trace takes some, a run of a hypothesis minutes


class Metrics:
    """Each service has its own registry, so that a process may have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, CPU seconds, open files (where there is a /proc)
        self.jobs = Counter(
            "hypograph_jobs",
            "Jobs that ran or were given up, by kind (trace, run) and outcome (done, failed, cancelled)",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "hypograph_job_seconds",
            "From the start of a job to its end, whatever that was",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.hits = Counter("hypograph_cache_hits", "Traces asked for that were in the cache", registry=self.registry)
        self.misses = Counter("hypograph_cache_misses", "Traces asked for that were not", registry=self.registry)

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A figure that is looked up when it is asked for; NaN where that fails, as on a disk that does not answer."""

        def now() -> float:
            try:
                return value()
            except Exception:
                return math.nan

        Gauge(f"hypograph_{name}", about, registry=self.registry).set_function(now)

"""From "half of the sweep" to "70 % done, 4 s left". Knows phases and clocks, neither jobs nor models.

Phases take unequal shares of the time, so the whole is weighted by how long each took lately. The first run of all has
only the weights given here.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping

TRACE_PHASES = {"record": 0.05, "encode": 0.02, "select": 0.05, "sweep": 0.88}
RUN_PHASES = {"baselines": 0.04, "controls": 0.06, "prompts": 0.9}
LOAD_PHASES = {
    "download": 0.0,  # of unknown length, and mostly none
    "assemble": 0.1,
    "check": 0.05,
    "read": 0.15,
    "convert": 0.5,
    "load": 0.15,
    "self-check": 0.05,
}

_MEMORY = 8  # runs
_SOON = 0.05  # share of the whole below which a run's own pace says nothing


class History:
    """How long each phase took in the latest finished runs. Not locked: its owner is."""

    def __init__(self, phases: Mapping[str, float]) -> None:
        self._weights = dict(phases)
        self._runs: deque[dict[str, float]] = deque(maxlen=_MEMORY)

    def add(self, seconds: Mapping[str, float]) -> None:
        self._runs.append({phase: seconds.get(phase, 0.0) for phase in self._weights})

    @property
    def known(self) -> bool:
        return bool(self._runs)

    def seconds(self) -> dict[str, float]:
        """Expected seconds of each phase; before the first run, shares of an unknown whole."""
        if not self._runs:
            return self._weights
        return {phase: sum(run[phase] for run in self._runs) / len(self._runs) for phase in self._weights}


class Tracker:
    """One run: takes the engine's reports, tells the fraction of the whole and the seconds left."""

    def __init__(self, history: History, clock: Callable[[], float] = time.monotonic) -> None:
        self._history = history
        self._expected = history.seconds()
        self._known = history.known
        self._clock = clock
        self._started = self._phase_started = clock()
        self._seconds: dict[str, float] = {}
        self.phase = ""
        self.fraction = 0.0  # of the whole; never goes back

    def report(self, phase: str, fraction: float) -> None:
        """What the engine says: `fraction` (0..1) of `phase`."""
        if phase != self.phase:
            self._close_phase()
            self.phase = phase
        total = sum(self._expected.values())
        if phase in self._expected and total > 0:
            names = list(self._expected)
            before = sum(self._expected[name] for name in names[: names.index(phase)])
            done = before + self._expected[phase] * min(max(fraction, 0.0), 1.0)
            self.fraction = max(self.fraction, min(done / total, 1.0))

    def eta(self) -> float | None:
        """Seconds left; None until there is something to judge by."""
        elapsed = self._clock() - self._started
        own = elapsed * (1 - self.fraction) / self.fraction if self.fraction > _SOON else None
        if not self._known:
            return own
        before = sum(self._expected.values()) * (1 - self.fraction)
        # Earlier runs know best at the start; this one, whose prompt may be longer, knows best at the end.
        return before if own is None else before * (1 - self.fraction) + own * self.fraction

    def finish(self) -> None:
        """The run came to its end: remember how long its phases took."""
        self._close_phase()
        self.fraction = 1.0
        self._history.add(self._seconds)

    def _close_phase(self) -> None:
        now = self._clock()
        if self.phase:
            self._seconds[self.phase] = self._seconds.get(self.phase, 0.0) + now - self._phase_started
        self._phase_started = now

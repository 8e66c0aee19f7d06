"""The steps of a hypothesis's run over workers, prompt by prompt; the record stays in this process."""

from collections.abc import Iterator, Sequence

from lab import LabError
from lab.runs.bodies import DrawnControls, PromptFigures, RunBody
from service.batches.workers import Lost, Workers
from tracer.errors import Progress


class Spread:
    """See `lab.runs.steps.Computing`. Raises as `Steps` does, and LabError for a prompt that costs its worker."""

    def __init__(self, run: RunBody, workers: Workers) -> None:
        self._run, self._workers = run, workers

    def baselines(self, parts: Sequence[str]) -> Iterator[PromptFigures]:
        yield from self._each("baseline", parts)

    def draw(self, included: Sequence[str], progress: Progress) -> DrawnControls:
        progress("controls", 0.0)
        drawn: DrawnControls = self._workers.ask("draw", included, self._run)
        return drawn

    def measure(self, parts: Sequence[str], included: Sequence[str], progress: Progress) -> Iterator[PromptFigures]:
        for n, figures in enumerate(self._each("measure", parts, included), start=1):
            yield figures
            progress("prompts", n / len(parts))

    def _each(self, do: str, parts: Sequence[str], *given: object) -> Iterator[PromptFigures]:
        for part, figures in self._workers.each(do, parts, *given, self._run):
            if isinstance(figures, Lost):
                raise LabError(f"{part}: {figures}")
            yield figures

"""Where workers are: one in this process. Those of a Ray cluster are in over_ray.py, behind the same two methods."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

from service.batches.worker import Worker

Unit = TypeVar("Unit")


class Workers(Protocol):
    def ask(self, do: str, *given: Any) -> Any:
        """What one of them answers. `do`: a method of `Worker`. Raises what that raises."""

    def each(self, do: str, units: Sequence[Unit], *given: Any) -> Iterator[tuple[Unit, Any]]:
        """What they answer for each unit, in the order in which they are ready. Raises as `ask` does.

        For a unit at which its worker was lost again and again the answer is a `Lost`.
        """


class Lost(Exception):
    """The message is one line for the person."""


class Here:
    """One, in this process."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def ask(self, do: str, *given: Any) -> Any:
        return getattr(self.worker, do)(*given)

    def each(self, do: str, units: Sequence[Unit], *given: Any) -> Iterator[tuple[Unit, Any]]:
        for unit in units:
            yield unit, self.ask(do, unit, *given)

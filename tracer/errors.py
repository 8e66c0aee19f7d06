"""The ways in which the engine stops on purpose, and the type of a progress callback.

Everything else that escapes the engine is a bug.
"""

from collections.abc import Callable

from pydantic import ValidationError

Progress = Callable[[str, float], None]
"""`progress(phase, fraction)`: called often from long work; it may raise `Cancelled` to stop that work."""


class TracerError(Exception):
    """Something the person can mend. The message is one line that says what is wrong and what to do."""


class OutOfMemory(TracerError):
    """The memory of the device was too small for what was asked for."""


class Cancelled(Exception):
    """Raised by a progress callback, passed through the engine untouched."""


def first_line(problem: Exception) -> str:
    """What an exception of another library says, in one line."""
    text = (
        (problem.strerror if isinstance(problem, OSError) else None) or str(problem).strip() or type(problem).__name__
    )
    return text.splitlines()[0]


def first_fault(problem: ValidationError) -> str:
    """The first thing that a pydantic model refused, and where, in one line."""
    first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(part if (part := str(at)).isprintable() else repr(part) for at in first["loc"])
    return (f"{place}: " if place else "") + first["msg"].removeprefix("Value error, ")


def silent(phase: str, fraction: float) -> None:
    """The progress callback of a caller who does not want to know."""

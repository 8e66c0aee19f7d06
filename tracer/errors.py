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
    first = problem.errors(include_url=False, include_input=False)[0]
    place = ".".join(part if (part := str(at)).isprintable() else repr(part) for at in first["loc"])
    plain = _PLAIN.get(first["type"])
    said = first["msg"].removeprefix("Value error, ") if plain is None else plain.format(**first.get("ctx", {}))
    return (f"{place}: " if place else "") + said


_PLAIN = {  # by pydantic's name of the fault: what people write wrong most
    "string_too_short": "it must not be empty",
    "string_too_long": "it must have {max_length:,} characters at most",
    "greater_than": "it must be more than {gt:,}",
    "greater_than_equal": "it must be {ge:,} or more",
    "less_than": "it must be less than {lt:,}",
    "less_than_equal": "it must be {le:,} or less",
    "finite_number": "it must be a finite number",
    "too_short": "it must have {min_length:,} or more",
    "too_long": "it must have {max_length:,} at most",
    "model_type": "fields with values must stand here",
}


def silent(phase: str, fraction: float) -> None:
    """The progress callback of a caller who does not want to know."""

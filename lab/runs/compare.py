"""Two runs of one hypothesis, figure by figure: do they agree."""

from collections.abc import Iterator
from math import inf
from typing import Any, NamedTuple

from lab.runs.keeping import Kept
from lab.runs.result import Result

LATER = ("donor",)  # what runs of older versions did not measure: compared where both have it


class Pair(NamedTuple):
    """The same figure of both. `where`: as figures.jsonl names it, part first; None where one of the two lacks it."""

    where: str
    first: object
    second: object

    def gap(self) -> float:
        """How far they are apart: of numbers the smaller of |a − b| and |a − b| / max(|a|, |b|), so that one bound
        holds for small and large ones; of anything else 0 or ∞."""
        a, b = self.first, self.second
        if _is_number(a) and _is_number(b):
            return abs(a - b) / max(1.0, abs(a), abs(b))  # type: ignore[operator, arg-type]
        return 0.0 if a == b else inf


def pairs(first: Kept, second: Kept) -> list[Pair]:
    """Every figure that one of the two has (of `LATER` ones, that both have), the farthest apart first."""
    found = [pair for part in _parts(first, second) for pair in _pairs(part, _of(first, part), _of(second, part))]
    return sorted(found, key=Pair.gap, reverse=True)


def result_pairs(first: Result, second: Result) -> list[Pair]:
    """Their numbers and decisions, and what one of the two lacks as a whole; sentences may be put in other words."""
    every = _pairs("result", first.model_dump(mode="json"), second.model_dump(mode="json"))
    return sorted((pair for pair in every if _is_told(pair)), key=Pair.gap, reverse=True)


def _is_told(pair: Pair) -> bool:
    there = [value for value in (pair.first, pair.second) if value is not None]
    if pair.where == "result, exploratory":  # why is a sentence; that it is, is not
        return len(there) == 1
    return pair.where.endswith(", decision") or not all(isinstance(value, str) for value in there)


def _parts(first: Kept, second: Kept) -> list[str]:
    drawn = ["controls"] if first.drawn is not None or second.drawn is not None else []
    return drawn + sorted({*first.prompts, *second.prompts})


def _of(kept: Kept, part: str) -> Any:
    figures = kept.drawn if part == "controls" else kept.prompts.get(part)
    return None if figures is None else figures.model_dump(mode="json")


def _pairs(where: str, first: Any, second: Any) -> Iterator[Pair]:
    if isinstance(first, list) and isinstance(second, list):
        first, second = dict(enumerate(first, start=1)), dict(enumerate(second, start=1))
    if isinstance(first, dict) and isinstance(second, dict):
        for name in {**first, **second}:
            one, other = first.get(name), second.get(name)
            if name not in LATER or None not in (one, other):
                yield from _pairs(f"{where}, {name}" if isinstance(name, str) else f"{where} {name}", one, other)
    elif first is not None or second is not None:
        yield Pair(where, first, second)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

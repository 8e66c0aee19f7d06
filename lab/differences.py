"""What differs between two versions of a hypothesis, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.hypothesis import HypothesisBody

NAMED_BY = ("text", "name", "supernode", "kind", "feature")
"""The field that tells the items of a list apart: one that was put in moves no other."""


@dataclass(frozen=True)
class Difference:
    field: str  # prompts › Tom Brady plays the sport of › target
    before: str | None  # None: it is not there
    after: str | None


def differences(before: HypothesisBody, after: HypothesisBody) -> list[Difference]:
    """In the order of the fields; those that only one has come where they stand in that one."""
    one, two = (dict(_leaves(body.model_dump(mode="json", exclude_none=True), "")) for body in (before, after))
    fields = list(dict.fromkeys([*one, *two]))
    return [Difference(name, one.get(name), two.get(name)) for name in fields if one.get(name) != two.get(name)]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            said = name if path.endswith("› slots") else name.replace("_", " ")  # people name slots
            yield from _leaves(inner, f"{path} › {said}" if path else said)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for name, item in zip(_names(value), value, strict=True):
            yield from _leaves(item, f"{path} › {name}")
    elif value != [] and value != "":
        yield path, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _names(items: list[dict[str, Any]]) -> list[str]:
    """Of each item what tells it apart; its number where several are called so, or where nothing does."""
    called = [next((str(item[name]) for name in NAMED_BY if name in item), "") for item in items]
    return [
        name if name and called.count(name) == 1 else f"{name} {called[: n + 1].count(name)}".strip()
        for n, name in enumerate(called)
    ]

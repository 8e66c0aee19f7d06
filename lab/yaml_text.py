"""YAML in and out: a canonical form of which a hash can be taken, and a reader that trusts no file.

In canonical form keys are sorted, floats are written as the shortest text that reads back equal, and strings with line
breaks or unusual characters as one quoted line: the same values are the same bytes, however a person laid them out.
"""

import hashlib
import json
import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from math import inf
from typing import Any

import yaml

from lab.errors import LabError
from lab.utf8 import text_of

MOST_BYTES = 1_000_000
DEEPEST = 20  # of lists and mappings in each other

# Line breaks (of which YAML has five) and what YAML can't hold as it is. Not str.isprintable: each Python has its own.
_UNUSUAL = re.compile("[^ -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

_Reader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it


def canonical(data: Any) -> str:
    """The canonical YAML of mappings, lists, strings, numbers and None. Ends with a line feed."""
    text: str = yaml.dump(
        data,
        Dumper=_Canonical,
        sort_keys=True,
        allow_unicode=True,
        default_flow_style=False,
        width=inf,
        line_break="\n",
    )
    return text


def sha256(data: Any) -> str:
    """SHA-256 of the canonical form, UTF-8; hex."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


@lru_cache(maxsize=256)
def sha256_of_json(text: str) -> str:
    """The same, of what this JSON says. Remembered: a list of hypotheses asks for each one's at each look."""
    return sha256(json.loads(text))


def read_yaml(content: bytes) -> Any:
    """What one document holds. Raises LabError, in one line, for anything but plain YAML in UTF-8.

    Refused besides: more than MOST_BYTES, more than DEEPEST levels, anchors and aliases (a few lines of them can stand
    for billions), tags (they name types to make), and a key that a mapping has twice (one of the two would be lost).
    """
    text = text_of(content, MOST_BYTES, "leave out prompts or notes")
    try:
        _refuse_tricks(text)
        return yaml.load(text, Loader=_Once)  # nosec B506  # _Once is a SafeLoader
    except yaml.YAMLError as problem:
        raise LabError(f"it is no YAML ({_said(problem)}): correct it") from problem
    except (ValueError, OverflowError) as problem:  # a date that is none, a number of thousands of digits
        raise LabError(
            f"it holds a value that can't be read ({problem}): write it in quotes, or correct it"
        ) from problem


class _Canonical(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # equal values are written out each time


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # In other styles a reader takes one kind of line break for another.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _UNUSUAL.search(text) else None)


def _float(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    return dumper.represent_float(number or 0.0)  # −0 is 0


_Canonical.add_representer(str, _string)
_Canonical.add_representer(float, _float)


class _Once(_Reader):  # type: ignore[misc, valid-type]
    """Builds plain values only, and refuses a key that comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), keys[0])
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} comes twice", node.start_mark)
        return mapping


def _refuse_tricks(text: str) -> None:
    """Looks at the document event by event, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Reader):
        trick = next((name for is_one, name in _TRICKS if is_one(event)), None)
        if trick is not None:
            line = event.start_mark.line + 1
            raise LabError(f"line {line} has {trick}, which are not read from a file: write the value itself")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise LabError(f"line {event.start_mark.line + 1} is deeper than {DEEPEST} levels: no record needs that")


_TRICKS: list[tuple[Callable[[yaml.Event], bool], str]] = [
    (lambda event: isinstance(event, yaml.AliasEvent), "aliases (*name)"),
    (lambda event: getattr(event, "anchor", None) is not None, "anchors (&name)"),
    (lambda event: getattr(event, "tag", None) is not None, "tags (!name)"),
]


def _said(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    what = getattr(problem, "problem", None) or " ".join(str(problem).split())
    return f"line {mark.line + 1}: {what}" if mark is not None else what

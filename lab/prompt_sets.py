"""Many prompts at once: from a template with slots, from pasted lines, from a CSV file. Each fault names its line."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from math import prod
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from lab.bodies import Part
from lab.csv_rows import csv_rows
from lab.errors import LabError
from lab.prompts import MOST_PROMPTS, MOST_SLOTS, Prompt, PromptText, SlotName
from lab.utf8 import text_of
from tracer.errors import first_fault

MOST_CSV_BYTES = 1_000_000
COLUMNS = ("prompt", "family", "target", "competitor")
SLOT_COLUMN = "slot:"

Pattern = Annotated[str, StringConstraints(max_length=1_000)]
Filling = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class Template(Part):
    """Prompts from `{name} plays the sport of` and what each slot is filled with.

    `rows`: every combination (product), or the first of each slot, the second of each … (zipped). `family`, `target`
    and `competitor` are templates too, over the same slots; a slot may stand there alone (" {sport}"). {{ is a brace.
    """

    text: PromptText
    slots: dict[SlotName, tuple[Filling, ...]] = Field(min_length=1, max_length=MOST_SLOTS)
    rows: Literal["product", "zipped"] = "product"
    family: Pattern = ""
    target: Pattern = ""
    competitor: Pattern = ""

    @model_validator(mode="after")
    def _slots_are_used(self) -> "Template":
        used: set[str] = set()
        for pattern in (self.text, self.family, self.target, self.competitor):
            used |= {name for _, name in _pieces(pattern) if name is not None}
        if strange := sorted(used - set(self.slots)):
            raise ValueError(f"{{{strange[0]}}} is not filled: give it under slots, or write {{{{ for a brace")
        if idle := sorted(set(self.slots) - used):
            raise ValueError(f"slot {idle[0]!r} stands nowhere: write {{{idle[0]}}} where it belongs, or leave it out")
        sizes = [len(fillings) for fillings in self.slots.values()]
        if self.rows == "zipped" and len(set(sizes)) > 1:
            raise ValueError("zipped slots need as many fillings each; fill them up, or take every combination")
        n = min(sizes) if self.rows == "zipped" else prod(sizes)
        if not 1 <= n <= MOST_PROMPTS:
            raise ValueError(f"that makes {n:,} prompts; fill each slot, for {MOST_PROMPTS:,} prompts at most")
        return self

    def prompts(self) -> tuple[Prompt, ...]:
        """Each with its slots; of one that the text has twice, the second is called NAME_2. Raises LabError for a
        prompt that comes twice or makes no sense."""
        combined = zip(*self.slots.values(), strict=True) if self.rows == "zipped" else product(*self.slots.values())
        return _each_once(
            (f"filling {number}", self._prompt(dict(zip(self.slots, fillings, strict=True))))
            for number, fillings in enumerate(combined, start=1)
        )

    def _prompt(self, filled: Mapping[str, str]) -> dict[str, Any]:
        text, slots, times = "", {}, Counter[str]()
        for literal, name in _pieces(self.text):
            text += literal
            if name is not None:
                times[name] += 1
                slots[name if times[name] == 1 else f"{name}_{times[name]}"] = {
                    "text": filled[name],
                    "start": len(text),
                }
                text += filled[name]
        others = {name: _fill(getattr(self, name), filled) for name in ("family", "target", "competitor")}
        return {"text": text, "slots": slots} | {name: value for name, value in others.items() if value}


def slot_names(*patterns: str) -> list[str]:
    """The slots of these templates, each once, in their order. Raises LabError for a template that is none."""
    try:
        names = [name for pattern in patterns for _, name in _pieces(pattern) if name is not None]
    except ValueError as problem:
        raise LabError(str(problem)) from problem
    return list(dict.fromkeys(names))


def pasted(text: str) -> tuple[Prompt, ...]:
    """A prompt a line, spaces around it dropped, empty lines left out. Raises LabError, naming the line."""
    lines = ((f"line {number}", line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return _each_once((where, {"text": line}) for where, line in lines if line)


def read_csv(content: bytes) -> tuple[Prompt, ...]:
    """Prompts from a CSV file with a header: prompt, and if wanted family, target, competitor, and `slot:NAME` with the
    text of a slot. Empty cells are none; spaces belong to a cell. Raises LabError, naming the line.
    """
    return _each_once(_csv_prompts(text_of(content, MOST_CSV_BYTES, "split it")))


def _check_header(header: list[str]) -> None:
    if "prompt" not in header:
        raise LabError(f"line 1 names no column prompt: give a header such as {','.join(COLUMNS)}, split by commas")
    for name in header:
        if name not in COLUMNS and not (name.startswith(SLOT_COLUMN) and name != SLOT_COLUMN):
            raise LabError(f"line 1: there is no column {name!r}: columns are {', '.join(COLUMNS)} and slot:NAME")
        if header.count(name) > 1:
            raise LabError(f"line 1 has the column {name!r} twice: leave one out")


def _csv_prompts(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, row in csv_rows(text, _check_header):
        if "prompt" not in row:
            raise LabError(f"{where} has no prompt: fill its cell, or leave the line out")
        slots = {name.removeprefix(SLOT_COLUMN): row.pop(name) for name in list(row) if name.startswith(SLOT_COLUMN)}
        yield where, {"text": row.pop("prompt"), "slots": slots} | row


def _each_once(rows: Iterable[tuple[str, dict[str, Any]]]) -> tuple[Prompt, ...]:
    """The prompts of rows, each with how messages name it."""
    found: dict[str, tuple[str, Prompt]] = {}
    for where, row in rows:
        try:
            prompt = Prompt.model_validate(row)
        except ValidationError as problem:
            raise LabError(f"{where}: {first_fault(problem)}; correct it") from problem
        if prompt.text in found:
            raise LabError(f"{where} repeats {found[prompt.text][0]}: a prompt counts once, leave it out")
        found[prompt.text] = where, prompt
        if len(found) > MOST_PROMPTS:
            raise LabError(f"{where}: there are more than {MOST_PROMPTS:,} prompts; leave some out")
    if not found:
        raise LabError("there is no prompt: give at least one")
    return tuple(prompt for _, prompt in found.values())


def _pieces(pattern: str) -> list[tuple[str, str | None]]:
    """What stands before each slot, and the slot; last of all what stands after them, and None."""
    try:
        pieces = list(Formatter().parse(pattern))
    except ValueError as problem:
        raise ValueError(f"{pattern!r}: {problem}; write {{{{ or }}}} for a brace") from None
    for _, name, spec, conversion in pieces:
        if name is not None and (spec or conversion or not name.isidentifier()):
            raise ValueError(f"{pattern!r}: a slot is written {{name}}, with letters, digits and _ alone")
    return [(literal, name) for literal, name, _, _ in pieces]


def _fill(pattern: str, filled: Mapping[str, str]) -> str:
    return "".join(literal + ("" if name is None else filled[name]) for literal, name in _pieces(pattern))

"""A run as Markdown, for a repository or a paper's appendix. Pure; texts of people are escaped."""

import re
from datetime import datetime

from lab.runs.bodies import RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Result
from lab.runs.sections import Bullets, Part, Quote, Table, sections

# What is markup anywhere, and what a renderer takes for a link by itself.
_MARKUP = re.compile(r"[\\`*_{}\[\]#|~$!]|:(?=//)|(?<=www)\.|@")
_AT_START = re.compile(r"^(\d*)(?=[-+=.)])")  # a list, a line under a heading


def markdown(run: RunBody, started: datetime, kept: Kept, found: Result) -> str:
    """`started`: when the run began. `found`: what `lab.runs.conclude.result` makes of `kept`."""
    lines = [f"# {escaped(found.title)}", ""]
    for section in sections(run, started, kept, found):
        lines += [f"## {section.heading}", ""]
        for part in section.parts:
            lines += [*_part(part), ""]
    return "\n".join([*lines, "Made with Hypograph.", ""])


def inner(text: str) -> str:
    """Part of a line that Markdown shows as it is, HTML and links too; what can't be seen, by its code point."""
    safe = _MARKUP.sub(lambda found: "\\" + found[0], visible(text.strip()).replace("&", "&amp;"))
    return safe.replace("<", "&lt;").replace(">", "&gt;")


def escaped(text: str) -> str:
    """The same for a whole line."""
    return _AT_START.sub(r"\1\\", inner(text))


def visible(text: str) -> str:
    """Line breaks as ⏎; controls, and marks that turn the direction of writing, as their code points."""
    shown = text.replace("\r\n", "\n").replace("\n", "⏎").replace("\t", " ")
    return "".join(c if c.isprintable() or c == "\u200d" else f"‹U+{ord(c):04X}›" for c in shown)


def _part(part: Part) -> list[str]:
    if isinstance(part, str):
        return [escaped(part)]
    if isinstance(part, Quote):
        lines = part.text.replace("\r\n", "\n").split("\n")
        return [f"> {escaped(line)}  " if line.strip() else ">" for line in lines]  # two spaces: the line ends here
    if isinstance(part, Bullets):
        return [f"- {escaped(line)}" for line in part.lines]
    return _table(part)


def _table(table: Table) -> list[str]:
    rules = ["---"] * table.texts + ["---:"] * (len(table.columns) - table.texts)
    rows = [[inner(cell) for cell in row] for row in (table.columns, *table.rows)]
    return [_row(rows[0]), _row(rules), *map(_row, rows[1:])]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""The Markdown report says what the Result says, in sections that hold, and hostile texts stay texts."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from markdown_it import MarkdownIt

from lab import HypothesisBody, HypothesisFile
from lab.runs.bodies import Predicted, PromptFigures, Reading, RunBody
from lab.runs.conclude import result
from lab.runs.keeping import Kept
from lab.runs.report import escaped, inner, markdown
from lab.runs.result import Result
from lab.runs.sections import Table, sections
from lab.runs.words import missing, number, statistics
from tests.lab.runs.made_up import BASE, EDIT, NOON, TWO_CIRCUITS, figures, hostile, kept, made
from tests.lab.runs.tiny import INTERCHANGES, hypothesis

LATER = NOON + timedelta(hours=1)


def whole(body: HypothesisBody, run: RunBody | None = None, n: int = 8) -> tuple[RunBody, Kept, Result]:
    foretold = [Predicted(direct=-2 - i / 10, through=-1 - i / 10, missing=0) for i in range(n)]
    found = [figures(body, i, -2.0, 0.3, predicted=foretold[i - 1]) for i in range(1, n + 1)]
    run, there = run or made(body), kept(body, found, 0.02 if n == 8 else None)
    return run, there, result(run, LATER, there)


def plain_body(**changes: Any) -> HypothesisBody:
    return hypothesis(**BASE | {"intervention": EDIT} | changes)


def rows(text: str, heading: str) -> list[list[str]]:
    """Of the first table under a heading, without head and rule."""
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_report_says_what_was_found() -> None:
    body = plain_body()
    run, there, found = whole(body)
    text = markdown(run, LATER, there, found)
    assert found.verdict is not None and found.findings is not None
    assert text.startswith("# t\n\n## Verdict\n\n" + found.verdict.sentence + "\n\nConfirmatory")
    assert f"- SHA-256: {run.hash}" in text and "frozen 27 November 2026, 12:00:00 UTC by Ada" in text
    prompts = rows(text, "Prompt by prompt")
    assert [row[0] for row in prompts] == [f"{line.number}. {line.text}" for line in found.prompts]
    assert prompts[0][1:3] == ["family 0", "␣w3, ␣w9"]
    for row, line in zip(prompts, found.prompts, strict=True):
        assert row[3:] == [number(x or 0.0) for x in (line.baseline, line.effect, line.controls, line.kl)]
    (against,) = found.findings.controls
    assert rows(text, "The effect against its controls")[0][5:7] == [str(against.as_much), f"{against.p:.2g}"]
    lines = statistics(body, found)
    assert [row[:2] for row in rows(text, "All statistics")] == [[inner(x.name), inner(x.value)] for x in lines]
    assert [row[1] for row in rows(text, "More of the edit")] == ["1", "0.5", "-0.5"]
    foretold = rows(text, "Foretold by the graphs, and measured")
    assert [row[1] for row in foretold] == [number(line.predicted or 0.0) for line in found.prompts]
    assert rows(text, "Other supernodes") == [["seen", "2", "1", "50 %"]]
    assert rows(text, "Where the edit should do little") == [["1. w30 w31 w32", "0.02"]]


def test_the_report_says_what_effects_are() -> None:
    body = plain_body(**TWO_CIRCUITS)
    found = [figures(body, n, -2.0, 0.3, second=Reading(value=0.5)) for n in range(1, 9)]
    run, there = made(body), kept(body, found)
    text = markdown(run, LATER, there, result(run, LATER, there))
    part = text.split("\n## Prompt by prompt\n")[1].split("\n## ")[0]
    assert "Difference between the circuits: with the first circuit's edit less with the second's." in part
    assert "controls" not in part and "less without" not in text


def test_the_report_says_how_near_to_the_donors_it_comes() -> None:
    body = plain_body(**INTERCHANGES)
    found = [figures(body, n, 1.0, 2.0, donor=1.6) for n in range(1, 9)]
    run, there = made(body), kept(body, found)
    text = markdown(run, LATER, there, result(run, LATER, there))
    told = {row[0]: row[1] for row in rows(text, "All statistics")}
    assert told["Sufficiency"] == "p = 0.91: as near to the donor as 33 of 39 control sets, or nearer"
    assert {row[6] for row in rows(text, "Prompt by prompt")} == {"1.6"} and "| on the donor, nats |" in text
    old = [one.model_copy(update={"donor": None}) for one in found]
    text = markdown(run, LATER, there := kept(body, old), result(run, LATER, there))
    assert ["Sufficiency", "–"] in [row[:2] for row in rows(text, "All statistics")] and "on the donor" not in text


def test_the_statistics_are_those_of_the_result() -> None:
    body = plain_body()
    _, _, found = whole(body)
    told = {line.name: line.value for line in statistics(body, found)}
    findings = found.findings
    assert findings is not None and findings.interval is not None and findings.dose is not None
    assert told["Effect"] == (
        f"-2 nats (95 % interval {findings.interval.low:.3g} to {findings.interval.high:.3g}), 8 families"
    )
    assert told["Sign flips"] == "p = 0.0039, all 256 patterns"
    assert told["Specificity against other features"] == "p = 0.025: 0 of 39 control sets did as much"
    assert told["Partial necessity"].startswith("p = 0.016: more damage than 39 of 39")
    assert f"p = {findings.dose.flips.p:.2g}" in told["Slope with the dose"]
    assert told["Foretold, measured: same sign"].startswith("8 of 8")
    assert (told["Off-target KL"], told["Prompts left out"]) == ("0.02 nats", "0 of 8")
    assert all(line.help.endswith(".") for line in statistics(body, found))


def test_what_could_not_be_computed_is_said_with_its_reason() -> None:
    body = plain_body()
    _, there, _ = whole(body)
    first = there.prompts["test 1"].doses
    alike = [figures(body, n, -2.0, 0.3, doses=first) for n in range(1, 9)]
    there = kept(body, alike)
    found = result(made(body), LATER, there)
    reasons = dict(missing(found))
    assert "spread can't be estimated" in reasons["Interval of the effect"]
    assert "Interval of the effect | – | Not computed: all effects" in markdown(made(body), LATER, there, found)


def test_a_part_of_a_run_decides_nothing() -> None:
    body = plain_body()
    run, there, found = whole(body, n=3)
    text = markdown(run, LATER, there, found)
    assert "3 of 9 prompts are finished. Nothing is decided before the last one is." in text
    assert len(rows(text, "Prompt by prompt")) == 3
    assert "upported" not in text and "All statistics" not in text and statistics(body, found) == []


def test_what_is_left_out_and_what_is_exploratory() -> None:
    body = plain_body()
    draft = made(body).model_copy(update={"hypothesis": HypothesisFile(hypothesis=body)})
    run, there, _ = whole(body, draft)
    out = PromptFigures(where="test", number=1, baseline=Reading(value=-2, logit_difference=-2), excluded=True)
    there = kept(body, [out, *list(there.prompts.values())[1:8]])
    text = markdown(run, LATER, there, result(run, LATER, there))
    assert "Exploratory: the hypothesis was not frozen." in text and "Confirmatory" not in text
    assert "left out, without the edit its logit difference is -2, below -1.5" in text
    assert rows(text, "Prompt by prompt")[0][3:] == ["-2", "–", "–", "–"]


def test_hostile_texts_stay_texts() -> None:
    run, there, found = hostile()
    text = markdown(run, LATER, there, found)
    page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {"h1", "h2", "p", "ul", "li", "blockquote", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.count("<h1>") == 1 and page.count("&lt;script&gt;") >= 4
    widths = {len(re.findall(r"<t[hd]", row)) for row in re.findall(r"<tr>.*?</tr>", _table_of(page, "Prompt"), re.S)}
    assert widths == {7}  # no | of a prompt has made a column


def _table_of(page: str, heading: str) -> str:
    return page.split(f"<h2>{heading}")[1].split("<h2>")[0]


@pytest.mark.parametrize(
    "text",
    ["# x", "1. x", "- x", "=1+1", "> x", "www.x.example", "http://x.example", "a@b.example", "![a](b)", "a*b*c"],
)
def test_markup_is_escaped(text: str) -> None:
    tokens = list(_all(MarkdownIt("gfm-like", {"linkify": False}).parse(escaped(text))))
    assert all(t.type.startswith(("paragraph", "inline", "text")) for t in tokens), tokens
    assert "".join(t.content for t in tokens if t.type.startswith("text")) == text


def _all(tokens: Any) -> Iterator[Any]:
    for token in tokens:
        yield token
        yield from token.children or ()


def test_what_cannot_be_seen_is_named() -> None:
    assert escaped("a\u202eb\nc\x07") == "a‹U+202E›b⏎c‹U+0007›"


def test_tables_have_as_many_cells_as_columns() -> None:
    run, there, found = whole(plain_body())
    tables = [part for s in sections(run, LATER, there, found) for part in s.parts if isinstance(part, Table)]
    assert len(tables) == 9
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)

"""The HTML report: the Markdown report's content and the charts in one file, in which no text becomes markup."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from lab import HypothesisBody
from lab.runs.bodies import Predicted
from lab.runs.conclude import result
from lab.runs.report import visible
from lab.runs.sections import Table, sections
from tests.lab.runs.made_up import BASE, EDIT, HOSTILE, NOON, figures, hostile, kept, made
from tests.lab.runs.tiny import INTERCHANGES, hypothesis
from ui.report_html import as_html
from ui.report_svg import Scale

LATER = NOON + timedelta(hours=1)
PLAIN = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "blockquote", "div", "table", "tr",
    "th", "td", "figure", "figcaption", "svg", "line", "rect", "circle", "path", "polyline", "text",
}  # fmt: skip


class Read(HTMLParser):
    """Tags, attributes and texts as a browser takes them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, kind: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if attributes.get("class") == kind]


def page(body: HypothesisBody, n: int = 8, **changes: Any) -> tuple[Read, Any, Any, Any]:
    found = [
        figures(body, i, -2.0, 0.3, predicted=Predicted(direct=-1 - i, through=-2 - i, missing=0), **changes)
        for i in range(1, n + 1)
    ]
    run, there = made(body), kept(body, found, 0.02 if n == 8 else None)
    told = result(run, LATER, there)
    return Read(as_html(run, LATER, there, told).decode()), run, there, told


def test_it_says_what_the_sections_say_and_draws_each_figure() -> None:
    read, run, there, found = page(hypothesis(**BASE | {"intervention": EDIT}))
    text = "".join(read.words)
    for section in sections(run, LATER, there, found):
        assert section.heading in text
        for part in section.parts:
            cells = [cell for row in part.rows for cell in row] if isinstance(part, Table) else []
            assert all(visible(cell) in read.words for cell in cells if cell)
    assert found.verdict.sentence in text and found.hash in text
    assert len(read.of("bars")) <= 39 and len(read.of("thin")) == 8 + 8  # a prompt's line to its controls, a unit's
    assert len(read.of("control")) == len(read.of("down")) == 8 and len(read.of("mean")) == 1
    assert len(read.of("tick")) == 8 + 8 + 1  # a supernode's share, KL on and off target
    assert len([tag for tag, _ in read.tags if tag == "svg"]) == 6


def test_dots_stand_where_their_effects_are() -> None:
    read, _, _, found = page(hypothesis(**BASE | {"intervention": EDIT}))
    at = [float(dot["cx"] or 0) for dot in read.of("down")]
    (controls,) = {float(dot["cx"] or 0) for dot in read.of("control")}  # the same on all prompts
    effects = sorted(line.effect for line in found.prompts)
    scale = (at[-1] - at[0]) / (effects[-1] - effects[0])
    assert at == pytest.approx([at[0] + scale * (effect - effects[0]) for effect in effects], abs=0.11)
    assert controls == pytest.approx(at[0] + scale * (found.prompts[0].controls - effects[0]), rel=0.01)


def test_sufficiency_is_said() -> None:
    read, _, _, found = page(hypothesis(**BASE | INTERCHANGES), donor=2.0)
    wins = found.findings.sufficiency
    assert f"p = {wins.p:.2g}: as near to the donor as {wins.k} of 39 control sets, or nearer" in read.words


def test_a_part_of_a_run() -> None:
    read, _, _, _ = page(hypothesis(**BASE | {"intervention": EDIT}), n=3)
    text = "".join(read.words)
    assert "3 of 9 prompts are finished. Nothing is decided" in text and "All statistics" not in text
    assert len(read.of("down")) == 3 and read.of("bars") == []


def test_hostile_texts_stay_texts() -> None:
    run, there, found = hostile()
    raw = as_html(run, LATER, there, found).decode()
    read = Read(raw)
    assert {tag for tag, _ in read.tags} <= PLAIN
    allowed = {"lang", "charset", "http-equiv", "content", "name", "class", "viewBox", "viewbox", "role", "aria-label"}
    drawn = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "points", "width", "height", "transform"}
    assert {name for _, attributes in read.tags for name in attributes} <= allowed | drawn | {"text-anchor"}
    assert sum(HOSTILE in word for word in read.words) >= 5  # as it is
    assert "script" not in {tag for tag, _ in read.tags} and raw.count("<title>") > 1
    (policy,) = [a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "http" not in raw.replace("http-equiv", "").replace("http://x.example/a.png", "")  # nothing is fetched


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.3, 0.7), (0.0, 3e-4), (-1e6, 1e5), (1.0, 1.0)])
def test_ticks_are_few_and_round(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100).ticks()
    assert len(ticks) <= 7 and all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert len(ticks) >= 2 or low == high

"""A run as one HTML file: what the Markdown report says, with charts. No scripts, nothing fetched, texts escaped."""

from datetime import datetime
from html import escape

from lab.runs.bodies import RunBody
from lab.runs.keeping import Kept
from lab.runs.report import visible
from lab.runs.result import Result
from lab.runs.sections import Bullets, Part, Quote, Section, sections
from lab.runs.words import measured
from ui import evidence_words as words
from ui.evidence_figures import doses, dots, kls, shares
from ui.report_svg import STYLE, controls_svg, doses_svg, dots_svg, kl_svg, predicted_svg, shares_svg
from ui.stand_alone import document, paragraph, wide_table

MORE = """
blockquote { margin: .5rem 0; padding: .2rem .8rem; border-left: 3px solid var(--line); white-space: pre-wrap; }
.verdict { font-weight: 650; border: 1px solid var(--line); border-radius: 4px; padding: .8rem; }
.texts-2 :nth-child(2), .texts-3 :is(:nth-child(2), :nth-child(3)) { text-align: left; } td { min-width: 4.5rem; }
"""


def as_html(run: RunBody, started: datetime, kept: Kept, found: Result) -> bytes:
    """`started`: when the run began. `found`: what `lab.runs.conclude.result` makes of `kept`."""
    charts = _charts(run, kept, found)
    body = [f"<h1>{escape(visible(found.title))}</h1>"]
    for section in sections(run, started, kept, found):
        body += [f"<h2>{escape(section.heading)}</h2>", *charts.get(section.key, []), *_parts(section)]
    body.append(paragraph("Made with Hypograph.", "small"))
    return document(f"Hypograph: {found.title}", STYLE + MORE, body)


def _parts(section: Section) -> list[str]:
    parts = [_part(part) for part in section.parts]
    if section.key == "verdict":
        parts[0] = paragraph(str(section.parts[0]), "verdict")
    return parts


def _part(part: Part) -> str:
    if isinstance(part, str):
        return paragraph(visible(part))
    if isinstance(part, Quote):
        lines = part.text.replace("\r\n", "\n").split("\n")
        return f"<blockquote>{escape(chr(10).join(map(visible, lines)))}</blockquote>"
    if isinstance(part, Bullets):
        return f"<ul>{''.join(f'<li>{escape(visible(line))}</li>' for line in part.lines)}</ul>"
    rows = [[visible(cell) for cell in row] for row in part.rows]
    return wide_table(part.columns, rows, f"texts-{part.texts}")


def _charts(run: RunBody, kept: Kept, found: Result) -> dict[str, list[str]]:
    """By the section that they stand in."""
    body, findings, unit = run.body, found.findings, found.unit
    drawn, smallest = dots(body, found), body.smallest_effect
    charts: dict[str, list[str]] = {}
    if drawn:
        chart = dots_svg(drawn, found, smallest, measured(body))
        charts["prompts"] = [_figure(chart, words.dots_caption(body, drawn, found))]
    if rows := {name: values for name, values in shares(found).items() if values}:
        charts["supernodes"] = [_figure(shares_svg(rows, words.SHARE), words.supernodes_caption(rows))]
    if (kl := kls(body, kept, found))["off-target prompts"]:
        charts["off_target"] = [_figure(kl_svg(kl, words.KL), words.off_target_caption(found))]
    if findings is None:
        return charts
    charts["controls"] = [
        _figure(controls_svg(against, smallest, unit), words.controls_caption(against, smallest, unit, not n))
        for n, against in enumerate(findings.controls)
    ]
    if (curve := doses(found)) is not None:
        charts["doses"] = [_figure(doses_svg(curve, unit), words.doses_caption(curve, findings, unit))]
    if foretold := [dot for dot in drawn if dot.predicted is not None]:
        charts["predicted"] = [_figure(predicted_svg(foretold, unit), words.predicted_caption(findings))]
    return charts


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(visible(caption))}</figcaption></figure>"

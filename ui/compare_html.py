"""A comparison as one HTML file for somebody who has no Hypograph: no scripts, nothing fetched, every text escaped."""

from html import escape

import pandas as pd

from ui.compare_sheet import KL_HELP, PERPLEXITY_HELP, SLIGHT, Sheet, Shown, Word, heading, metrics
from ui.compare_text import facts, share
from ui.palette import NEGATIVE, POSITIVE

STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: #101618; background: #fff; max-width: 1200px; margin: 2rem auto;
  padding: 0 1rem; font-variant-numeric: tabular-nums; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }} h3 {{ font-size: 1rem; margin: 0; }}
.columns {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(250px, 1fr)); gap: 1rem; }}
.columns > div {{ border: 1px solid #d5dcdc; border-radius: 4px; padding: .8rem; overflow-wrap: anywhere; }}
.said {{ line-height: 1.9; white-space: pre-wrap; }}
.said span {{ border-bottom: 2px solid transparent; padding-bottom: 2px; }}
.said .more {{ border-bottom: 2px solid {POSITIVE}; }} .said .less {{ border-bottom: 2px dashed {NEGATIVE}; }}
.said .other {{ font-weight: 650; outline: 1px solid #6b7478; }}
.small {{ color: #4a5558; font-size: .87rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: .87rem; }}
.wide {{ overflow-x: auto; }}
th, td {{ text-align: right; padding: .2rem .5rem; border-bottom: 1px solid #e3e8e8; }}
th:first-child, td:first-child {{ text-align: left; overflow-wrap: anywhere; min-width: 6rem; }}
.bar {{ display: inline-block; height: .6rem; background: {POSITIVE}; vertical-align: middle; }}
.bars td:nth-child(2) {{ white-space: nowrap; }} .bars td:last-child {{ width: 50%; text-align: left; }}
.wide td:first-child {{ min-width: 9rem; max-width: 16rem; }}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_html(sheet: Sheet, follow: int, made: str) -> bytes:
    """`made`: when, as it shall be shown."""
    body = [
        "<h1>What a language model says under different conditions</h1>",
        _p(f"{sheet.how}. The same seed in all columns. Made with Hypograph, {made}.", "small"),
        "<h2>Texts</h2>",
        _columns(sheet, [_text(sheet, at) for at in range(len(sheet.columns))]),
        _p(
            "Framed and bold: differs from column 1's text. Tinted and underlined: the token's log-probability changed"
            " against column 1 (solid teal: likelier than there; dashed amber: less likely; below"
            f" {SLIGHT:g} nats unmarked). A tooltip on each token holds the figures and what else could stand there.",
            "small",
        ),
        *(_p(line, "small") for line in sheet.limits),
        "<h2>The next token after each prompt</h2>",
        _columns(sheet, [_bars(sheet, column) for column in sheet.columns]),
        "<h2>KL at each token of column 1's text, nats</h2>",
        _kl(sheet),
        _p(KL_HELP, "small"),
        f"<h2>Figures; the token followed is {escape(sheet.tokens[follow])}</h2>",
        _metrics(sheet, follow),
        _p(f"Logit: less the mean logit, before any softcap. Perplexity: {PERPLEXITY_HELP}", "small"),
        "<h2>What this does not show</h2>",
        _p(
            "These are single texts of single prompts. A difference between columns says that the condition changed"
            " what this model says here; it does not say why, nor that it would do so elsewhere: that takes controls"
            " and more prompts."
        ),
        *(_p(line, "small") for line in sheet.terms),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width"><title>Hypograph: a comparison</title><style>'
        f"{STYLE}</style></head><body>{''.join(body)}</body></html>"
    ).encode("utf-8", "replace")


def _p(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _columns(sheet: Sheet, parts: list[str]) -> str:
    heads = [f"<h3>{escape(heading(sheet, at))}</h3>" for at in range(len(parts))]
    return f'<div class="columns">{"".join(f"<div>{h}{p}</div>" for h, p in zip(heads, parts, strict=True))}</div>'


def _text(sheet: Sheet, at: int) -> str:
    column = sheet.columns[at]
    about = column.about + (f" · {column.on}" if sheet.several else "")
    said = "".join(_word(word, at) for word in column.words)
    return f'{_p(column.prompt)}{_p(about, "small")}<div class="said">{said}</div>'


def _word(word: Word, at: int) -> str:
    kinds = [{1: "more", -1: "less", 0: ""}[word.sign], "other" if word.differs else ""]
    colour = NEGATIVE if word.sign < 0 else POSITIVE
    tint = f' style="background: {colour}{round(97 * share(word)):02x}"' if word.sign else ""
    others = [f"{name} {p:.1%}" for name, p in word.alternatives]
    title = escape("\n".join([*facts(word, at), *others]), quote=True)
    text = word.text.lstrip(" ") or word.text
    space = word.text[: len(word.text) - len(text)]  # not within the frame: it may be at the end of the line before
    return f'{space}<span class="{" ".join(kinds).strip()}" title="{title}"{tint}>{escape(text)}</span>'


def _bars(sheet: Sheet, column: Shown) -> str:
    most = max(c.probability(i) for c in sheet.columns for i in range(len(sheet.tokens))) or 1.0
    rows = []
    for i, name in enumerate(sheet.tokens):
        p = column.probability(i)
        figure = "–" if column.next[i] is None else f"{p:.2%}"
        bar = f'<span class="bar" style="width: {100 * p / most:.1f}%"></span>'
        rows.append(f"<tr><td>{escape(name)}</td><td>{figure}</td><td>{bar}</td></tr>")
    return f'<table class="bars">{"".join(rows)}</table>'


def _kl(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(word.token)}</th>" for word in sheet.columns[0].words)
    rows = []
    for at, column in enumerate(sheet.columns):
        if at and column.kl is not None:
            cells = "".join(f"<td>{value:.3f}</td>" for value in column.kl)
            rows.append(f"<tr><td>{escape(heading(sheet, at))}</td>{cells}</tr>")
        elif at:
            rows.append(f"<tr><td>{escape(heading(sheet, at))}</td><td>other tokens: not comparable</td></tr>")
    return f'<div class="wide"><table><tr><th>column</th>{head}</tr>{"".join(rows)}</table></div>'


def _metrics(sheet: Sheet, follow: int) -> str:
    table = metrics(sheet, follow)
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(_figure(value))}</td>' for value in row)}</tr>"
        for row in table.itertuples(index=False)
    )
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _figure(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    return "–" if value is None or value is pd.NA else str(value)

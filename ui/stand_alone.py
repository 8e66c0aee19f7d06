"""An HTML file of its own for somebody who has no Hypograph: no scripts, nothing fetched, light and dark, printable.

Who writes a body escapes every text in it; the policy stops what would get through all the same.
"""

from collections.abc import Sequence
from html import escape

from ui.palette import DARK, LIGHT

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = f"""
:root {{ color-scheme: light dark; --text: {LIGHT.text}; --ground: {LIGHT.ground}; --positive: {LIGHT.positive};
  --negative: {LIGHT.negative}; --faint: #4a5558; --line: #d5dcdc; --grey: #8a9a99; }}
@media (prefers-color-scheme: dark) {{ :root {{ --text: {DARK.text}; --ground: {DARK.ground};
  --positive: {DARK.positive}; --negative: {DARK.negative}; --faint: #a9b5b5; --line: #364144; --grey: #7d8b8a; }} }}
@media print {{ :root {{ color-scheme: light; --text: #000; --ground: #fff; --positive: {LIGHT.positive};
  --negative: {LIGHT.negative}; --faint: #333; --line: #bbb; }} h2 {{ break-after: avoid; }}
  figure, tr {{ break-inside: avoid; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); max-width: 1200px;
  margin: 2rem auto; padding: 0 1rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }} h3 {{ font-size: 1rem; margin: 0; }}
.small {{ color: var(--faint); font-size: .87rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: .87rem; }}
.wide {{ overflow-x: auto; }}
th, td {{ text-align: right; padding: .2rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }}
th:first-child, td:first-child {{ text-align: left; min-width: 6rem; }} th {{ overflow-wrap: normal; }}
"""


def document(title: str, style: str, body: Sequence[str]) -> bytes:
    """`title` is escaped here, `style` added to what all have; `body` is HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>'
        f"{STYLE}{style}</style></head><body>{''.join(body)}</body></html>"
    ).encode("utf-8", "replace")


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def wide_table(columns: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Of texts; scrolls by itself where it is too wide."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><tr>{head}</tr>{body}</table></div>'

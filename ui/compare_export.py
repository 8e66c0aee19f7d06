"""A comparison to take along: a picture, a table, one HTML file, a link."""

from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from ui.compare_html import as_html
from ui.compare_sheet import Sheet, heading, words_table
from ui.compare_text import share
from ui.export_menu import as_csv

_component = st.components.v2.component(
    "hypograph_compare_picture",
    css=(Path(__file__).parent / "compare_picture.css").read_text("utf-8"),
    js=(Path(__file__).parent / "compare_picture.js").read_text("utf-8"),
)
NAME = "hypograph-comparison"


def exports(sheet: Sheet, follow: int) -> None:
    row = st.container(horizontal=True, gap="small", vertical_alignment="center")
    row.download_button(
        "HTML: for readers",
        data=lambda: as_html(sheet, follow, f"{datetime.now():%d %B %Y}"),
        file_name=f"{NAME}.html",
        mime="text/html",
        key="compare_html",
        on_click="ignore",
        help="One file without scripts; opens in any browser.",
    )
    row.download_button(
        "CSV: all tokens",
        data=lambda: as_csv(words_table(sheet)),
        file_name=f"{NAME}.csv",
        mime="text/csv",
        key="compare_csv",
        on_click="ignore",
    )
    with row:
        _component(key="compare_picture", data=_picture(sheet), width="content")
    link = row.popover("Link")
    link.caption(
        "Opens this comparison for whoever uses this server, and runs it. What is on this tab's Steer page goes along"
        " only once it is saved there as a run; a model or feature set that was typed has to be typed there again."
    )
    pairs = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    link.code(f"{st.context.url}?{urlencode(pairs)}", language=None, wrap_lines=True)


def _picture(sheet: Sheet) -> dict[str, object]:
    """What the browser paints: it has the fonts for every script that tokens are written in."""
    return {
        "name": f"{NAME}.png",
        "foot": [
            f"{sheet.how}. Framed: differs from column 1. Underlined: log-probability against column 1, solid likelier,"
            " dashed less likely.",
            *sheet.limits,
            *sheet.terms,
        ],
        "columns": [
            {
                "name": heading(sheet, at),
                "about": [column.prompt, column.about, *([column.on] if sheet.several else [])],
                "words": [
                    {"text": word.token, "sign": word.sign, "share": share(word), "differs": word.differs}
                    for word in column.words
                ],
                "next": [
                    [name, None if own is None else own.probability]
                    for name, own in zip(sheet.tokens, column.next, strict=True)
                ],
                "figures": [f"perplexity {column.perplexity:.2f}"]
                + ([f"mean KL {sum(column.kl) / len(column.kl):.3f} nats"] if at and column.kl else []),
            }
            for at, column in enumerate(sheet.columns)
        ],
    }

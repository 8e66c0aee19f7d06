"""A comparison on the screen: texts, next tokens, KL at each token, figures."""

import altair as alt
import pandas as pd
import streamlit as st

from ui.compare_export import exports
from ui.compare_sheet import KL_HELP, PERPLEXITY_HELP, SLIGHT, Sheet, heading, metrics
from ui.compare_text import compare_text
from ui.palette import POSITIVE
from ui.sidebar import plain


def show(sheet: Sheet) -> None:
    _texts(sheet)
    _next(sheet)
    _kl(sheet)
    follow = _metrics(sheet)
    exports(sheet, follow)


def _texts(sheet: Sheet) -> None:
    for at, (place, column) in enumerate(zip(st.columns(len(sheet.columns)), sheet.columns, strict=True)):
        with place.container(border=True, height="stretch"):
            st.markdown(f"**{plain(heading(sheet, at))}**")
            on = f" · {column.on}" if sheet.several else ""
            st.caption(plain(f"{column.prompt} · {column.about}{on}"))
            compare_text(column, at)
    st.caption(
        "Framed and bold: differs from column 1's text. Tinted, underlined: the token's log-probability changed against"
        " column 1, at this place of this text (solid teal: likelier than there; dashed amber: less likely; below"
        f" {SLIGHT:g} nats unmarked). All texts are drawn with the same seed."
    )

    for line in sheet.limits:
        st.caption(line)


def _next(sheet: Sheet) -> None:
    """The same tokens in the same order and on the same scale."""
    st.markdown("**The next token**", help="Probability of each token as the first after the prompt.")
    names, every = list(sheet.tokens), range(len(sheet.tokens))
    most = max(column.probability(i) for column in sheet.columns for i in every)
    for at, (place, column) in enumerate(zip(st.columns(len(sheet.columns)), sheet.columns, strict=True)):
        table = pd.DataFrame(
            {
                "token": names,
                "probability": [column.probability(i) for i in every],
                "rank": ["no such token" if own is None else f"{own.rank:,}" for own in column.next],
            }
        )
        bars = alt.Chart(table, title=alt.Title(f"Column {at + 1}", fontSize=13, anchor="start")).encode(
            y=alt.Y(
                "token:N",
                sort=names,
                title=None,
                axis=alt.Axis(labelLimit=110, labelOverlap=False, labelFlush=False),
            ),
            x=alt.X(
                "probability:Q",
                title=None,
                scale=alt.Scale(domain=[0, most], nice=True),
                axis=alt.Axis(format="%", tickCount=4, labelFlush=False),
            ),
            tooltip=["token", alt.Tooltip("probability", format=".4f"), "rank"],
        )
        place.altair_chart(
            bars.mark_bar(height=9, color=POSITIVE), height=21 * len(names) + 60, key=f"compare_next_{at}"
        )


def _kl(sheet: Sheet) -> None:
    st.markdown("**KL at each token of column 1's text**", help=KL_HELP)
    places = [f"{i} {word.token}" for i, word in enumerate(sheet.columns[0].words)]
    rows = [
        {"place": place, "KL": value, "column": f"column {at + 1}"}
        for at, column in enumerate(sheet.columns)
        if at and column.kl is not None
        for place, value in zip(places, column.kl, strict=True)
    ]
    if not rows:
        st.caption("No column can be compared so: the models cut texts into other tokens.")
        return
    line = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("place:N", sort=places, title=None, axis=alt.Axis(labelAngle=-60, labelLimit=90, labelOverlap=True)),
        y=alt.Y("KL:Q", title="KL, nats"),
        color=alt.Color("column:N", legend=alt.Legend(title=None, orient="top")),
        shape=alt.Shape("column:N", legend=alt.Legend(title=None, orient="top")),
        tooltip=["column", "place", alt.Tooltip("KL", format=".4f")],
    )
    dashed = line.mark_line().encode(strokeDash=alt.StrokeDash("column:N", legend=None))
    st.altair_chart(dashed + line.mark_point(filled=True, size=50), height=260, key="compare_kl")


def _metrics(sheet: Sheet) -> int:
    st.markdown("**Figures**")
    follow = st.selectbox(
        "Token followed",
        range(len(sheet.tokens)),
        format_func=sheet.tokens.__getitem__,
        key=f"compare_follow_{'_'.join(sheet.tokens)}",
        help="As the first token after each prompt.",
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        metrics(sheet, follow).assign(probability=lambda table: 100 * table["probability"]),
        hide_index=True,
        alt="figures of each column",
        column_config={
            "probability": number(format="%.2f %%", help="Of the token followed."),
            "rank": number(format="%d", help="Of the token followed among all, 1 the likeliest."),
            "logit": number(format="%.2f", help="Of the token followed, less the mean logit, before any softcap."),
            "Δ logit": number(format="%+.2f", help="Against column 1."),
            "KL next": number(format="%.3f", help=f"At the first place. {KL_HELP}"),
            "KL mean": number(format="%.3f", help=f"Over column 1's text. {KL_HELP}"),
            "perplexity": number(format="%.2f", help=f"Under its own column. {PERPLEXITY_HELP}"),
            "under column 1": number(format="%.2f", help=f"The same text after column 1's prompt. {PERPLEXITY_HELP}"),
        },
    )
    return follow

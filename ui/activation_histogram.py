"""How large a feature's activations are in the corpus, drawn, with the place of its activation here."""

import math

import altair as alt
import pandas as pd
import streamlit as st

from tracer.dashboards.store import Dashboard
from tracer.dashboards.tally import BINS, LOWEST
from ui.palette import NEGATIVE, POSITIVE


def activation_histogram(found: Dashboard, activation: float) -> None:
    """Bars of doubling width: at k on the axis stands ±2^(LOWEST + |k|), at 0 stands 0."""
    filled = [bin - BINS for bin, count in enumerate(found.histogram) if count]
    if not filled:
        return
    here = place(activation)
    first, end = min(*filled, math.floor(here)), max(filled[-1] + 1, math.ceil(here))
    bars = pd.DataFrame(
        {
            "left": range(first, end),
            "right": range(first + 1, end + 1),
            "bottom": 0,
            "tokens": [100 * found.histogram[k + BINS] / found.n_sampled for k in range(first, end)],
            "from": [edge(k) for k in range(first, end)],
            "to": [edge(k + 1) for k in range(first, end)],
        }
    )
    number = f"format(pow(2, abs(datum.value) + {LOWEST}), '~g')"
    x = alt.X(
        "left:Q",
        title="activation; height: % of tokens, √ scale",
        scale=alt.Scale(domain=[first, end], nice=False),
        axis=alt.Axis(
            values=list(range(first, end + 1)),
            grid=False,
            labelExpr=f"datum.value == 0 ? '0' : (datum.value < 0 ? '−' : '') + {number}",
            labelOverlap=True,
            labelFontSize=11,
            titleFontSize=11,
        ),
    )
    y = alt.Y("tokens:Q", title=None, scale=alt.Scale(type="sqrt"), axis=alt.Axis(tickCount=3, labelFontSize=11))
    steps = alt.Chart(bars).mark_rect(stroke="white", strokeWidth=0.5)
    steps = steps.encode(
        x=x,
        x2="right:Q",
        y=y,
        y2="bottom:Q",
        color=alt.condition("datum.left < 0", alt.value(NEGATIVE), alt.value(POSITIVE)),
        tooltip=[
            alt.Tooltip("from:Q", format=".3~g"),
            alt.Tooltip("to:Q", format=".3~g"),
            alt.Tooltip("tokens:Q", format=".3~g", title="% of tokens"),
        ],
    )
    mark = alt.Chart(pd.DataFrame({"left": [here], "word": ["here"]})).encode(x="left:Q")
    rule = mark.mark_rule(color="currentColor", strokeDash=[4, 3], strokeWidth=1.5)
    side = 1 if here < (first + end) / 2 else -1
    word = mark.mark_text(
        color="currentColor", align="left" if side > 0 else "right", dx=4 * side, fontSize=11, baseline="top"
    ).encode(y=alt.value(0), text="word")
    alternative = f"histogram of its activations; {activation:.3g} here, marked"
    st.altair_chart(steps + rule + word, height=140, alt=alternative)


def place(activation: float) -> float:
    """Where an activation stands on the axis, −BINS … BINS."""
    size = abs(activation)
    first = 2.0 ** (LOWEST + 1)
    at = size / first if size < first else math.log2(size) - LOWEST
    return math.copysign(min(at, BINS), activation)


def edge(k: int) -> float:
    """What stands at k of the axis."""
    return math.copysign(2.0 ** (LOWEST + abs(k)), k) if k else 0.0

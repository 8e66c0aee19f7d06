"""A run's figures as charts (Altair). No colour stands alone: forms, lines and places say the same."""

import altair as alt
import pandas as pd
import streamlit as st

from lab.in_words import CONTROLS
from lab.runs.result import Against, Result
from lab.statistics.threats import HIGHEST_KL
from ui.evidence_figures import MOST_LABELS, Doses, Dot, bars, reach, share_reach
from ui.evidence_words import KL, SHARE
from ui.palette import NEGATIVE, POSITIVE

GREY = "#8a9a99"
STRONG = "#76818a"  # can be read on both grounds: a page that changes its theme does not draw its charts anew
EFFECT = "+.3f"
ROW = 22  # pixels a prompt


def against_controls(against: Against, smallest: float, unit: str) -> None:
    """How many control sets moved the metric how far, and where the edit is among them."""
    colour = POSITIVE if against.effect > 0 else NEGATIVE
    drawn = pd.DataFrame(bars(against))
    drawn["bottom"] = 0
    room = alt.Scale(domain=[0, 1.25 * drawn["sets"].max()], nice=False)  # above the bars, for the word
    domain = reach([*against.means, against.effect, -smallest, smallest])
    x = alt.X("left:Q", title=f"mean effect over units, {unit}", scale=alt.Scale(domain=domain, nice=False))
    band = alt.Chart(pd.DataFrame({"left": [-smallest], "right": [smallest]}))
    steps = alt.Chart(drawn).mark_rect(color=GREY)
    edit = alt.Chart(pd.DataFrame({"left": [against.effect], "word": ["the edit"]})).encode(x=x)
    on_left = against.effect > sum(domain) / 2
    chart = (
        band.mark_rect(color=GREY, opacity=0.22).encode(x=x, x2="right:Q")
        + _rule(0.0, GREY)
        + steps.encode(
            x=x,
            x2="right:Q",
            y=alt.Y("sets:Q", title="control sets", scale=room, axis=alt.Axis(tickMinStep=1, tickCount=4)),
            y2="bottom:Q",
            tooltip=[
                alt.Tooltip("left:Q", format=EFFECT, title="from"),
                alt.Tooltip("right:Q", format=EFFECT, title="to"),
                "sets:Q",
            ],
        )
        + edit.mark_rule(color=colour, strokeWidth=3).encode(
            tooltip=["word", alt.Tooltip("left:Q", format=EFFECT, title=f"effect, {unit}")]
        )
        + edit.mark_text(
            color=STRONG,
            align="right" if on_left else "left",
            dx=-6 if on_left else 6,
            baseline="top",
            fontWeight="bold",
        ).encode(y=alt.value(2), text="word")
    )
    alternative = (
        f"mean effects of {against.sets} control sets ({CONTROLS[against.kind].name}), from {min(against.means):.3g} to"
        f" {max(against.means):.3g} {unit}; the edit's is {against.effect:.3g}"
    )
    st.altair_chart(chart, height=190, alt=alternative)


def prompt_dots(drawn: list[Dot], found: Result, smallest: float, what: str) -> None:
    """The effect on each prompt beside its controls' mean, and the mean over units with its interval on top."""
    interval = None if found.findings is None else found.findings.interval
    table = pd.DataFrame(drawn)
    mean = f"mean {what}"
    rows = [*([mean] if interval is not None else []), *table["label"]]
    named = len(drawn) <= MOST_LABELS
    axis = alt.Axis(labelLimit=150, labels=named, ticks=False)
    y = alt.Y("label:N", sort=rows, scale=alt.Scale(domain=rows), title=None, axis=axis)
    edges = reach([*table["effect"], *table["controls"].dropna(), -smallest, smallest], interval)
    x = alt.X("effect:Q", title=f"{what}, {found.unit}", scale=alt.Scale(domain=edges, nice=False))
    dots = alt.Chart(table)
    tooltip = [
        alt.Tooltip("text:N", title="prompt"),
        alt.Tooltip("effect:Q", format=EFFECT, title=f"{what}, {found.unit}"),
        alt.Tooltip("controls:Q", format=EFFECT, title="controls' mean"),
    ]
    sign = alt.condition("datum.effect > 0", alt.value(POSITIVE), alt.value(NEGATIVE))
    chart = (
        _rule(0.0, STRONG)
        + _rule(-smallest, STRONG, dash=True)
        + _rule(smallest, STRONG, dash=True)
        + dots.mark_rule(color=GREY).encode(x=x, x2="controls:Q", y=y)
        + dots.mark_point(color=GREY, size=50, strokeWidth=1.5).encode(
            x=alt.X("controls:Q", scale=alt.Scale(domain=edges)), y=y, tooltip=tooltip
        )
        + dots.mark_point(filled=True, opacity=1, size=70).encode(x=x, y=y, color=sign, tooltip=tooltip)
    )
    if interval is not None:
        over = pd.DataFrame(
            {"label": [mean], "effect": [interval.estimate], "low": [interval.low], "high": [interval.high]}
        )
        ends = [alt.Tooltip(f"{name}:Q", format=EFFECT) for name in ("effect", "low", "high")]
        base = alt.Chart(over)
        chart += base.mark_rule(color=STRONG, strokeWidth=3).encode(x="low:Q", x2="high:Q", y=y, tooltip=ends)
        chart += base.mark_point(shape="diamond", filled=True, opacity=1, size=130, color=STRONG).encode(
            x=x, y=y, tooltip=ends
        )
    alternative = f"{what} of {len(drawn)} prompts, from {table['effect'].min():.3g} to {table['effect'].max():.3g}"
    st.altair_chart(
        chart, height=70 + ROW * (len(rows) if named else MOST_LABELS // 2), alt=f"{alternative} {found.unit}"
    )


def dose_curve(found: Doses, unit: str) -> None:
    """A thin line a unit, a thick one for their mean."""
    pairs = [(name, x, y) for name, effects in found.units.items() for x, y in zip(found.axis, effects, strict=True)]
    units = pd.DataFrame(pairs, columns=["unit", "dose", "effect"])
    mean = pd.DataFrame({"unit": "mean", "dose": found.axis, "effect": found.mean})
    x = alt.X("dose:Q", title="dose (1 decides, 0: no edit)")
    y = alt.Y("effect:Q", title=f"effect of the edit, {unit}")
    tooltip = [alt.Tooltip("unit:N"), alt.Tooltip("dose:Q", format=".3~g"), alt.Tooltip("effect:Q", format=EFFECT)]
    thin = alt.Chart(units).encode(x=x, y=y, detail="unit:N", tooltip=tooltip)
    thick = alt.Chart(mean).encode(x=x, y=y, tooltip=tooltip)
    chart = (
        alt.Chart(pd.DataFrame({"effect": [0.0]})).mark_rule(color=STRONG).encode(y="effect:Q")
        + _rule(0.0, STRONG, name="dose")
        + thin.mark_line(color=GREY, strokeWidth=1, opacity=0.7)
        + thick.mark_line(color=POSITIVE, strokeWidth=3)
        + thick.mark_point(color=POSITIVE, filled=True, opacity=1, size=70)
    )
    st.altair_chart(chart, height=260, alt=f"effect at {len(found.axis)} doses, of {found.n_units} units")


def foretold(drawn: list[Dot], unit: str) -> None:
    """What graphs foretold against what the edit did, a dot a prompt; on the line the two are the same."""
    table = pd.DataFrame(drawn)
    edges = reach([*table["predicted"], *table["measured"]])
    x = alt.X("predicted:Q", title=f"foretold, {unit}", scale=alt.Scale(domain=edges, nice=False))
    y = alt.Y("measured:Q", title=f"measured, {unit}", scale=alt.Scale(domain=edges, nice=False))
    tooltip = [
        alt.Tooltip("text:N", title="prompt"),
        *(alt.Tooltip(f"{name}:Q", format=EFFECT) for name in ("predicted", "measured")),
    ]
    same = alt.Chart(pd.DataFrame({"predicted": edges, "measured": edges}))
    dots = alt.Chart(table).mark_point(filled=True, opacity=1, size=70, color=POSITIVE)
    chart = same.mark_line(color=GREY, strokeDash=[5, 4]).encode(x=x, y=y) + dots.encode(x=x, y=y, tooltip=tooltip)
    st.altair_chart(chart, height=300, alt=f"foretold against measured effects of {len(drawn)} prompts")


def share_strips(rows: dict[str, list[tuple[str, float]]]) -> None:
    edges = share_reach(rows)
    x = alt.X("value:Q", title=SHARE, scale=alt.Scale(domain=edges, nice=False, clamp=True))
    _strips(rows, x, 100)


def kl_strips(rows: dict[str, list[tuple[str, float]]]) -> None:
    _strips(rows, alt.X("value:Q", title=f"{KL} (√ scale)", scale=alt.Scale(type="sqrt")), HIGHEST_KL)


def _strips(rows: dict[str, list[tuple[str, float]]], x: alt.X, mark: float) -> None:
    """A tick a prompt in each row, and a dashed line at `mark`."""
    pairs = [(name, text, value) for name, values in rows.items() for text, value in values]
    table = pd.DataFrame(pairs, columns=["row", "text", "value"])
    tooltip = [alt.Tooltip("text:N", title="prompt"), alt.Tooltip("value:Q", format=".3~g")]
    ticks = alt.Chart(table).mark_tick(thickness=2, color=POSITIVE)
    y = alt.Y("row:N", sort=list(rows), title=None, axis=alt.Axis(labelLimit=150))
    chart = ticks.encode(x=x, y=y, tooltip=tooltip) + _rule(mark, STRONG, name="value", dash=True)
    st.altair_chart(chart, height=70 + 30 * len(rows), alt=f"{len(table)} values in {len(rows)} rows")


def _rule(at: float, colour: str, name: str = "effect", dash: bool = False) -> alt.Chart:
    rule = alt.Chart(pd.DataFrame({name: [at]})).encode(x=f"{name}:Q")
    return rule.mark_rule(color=colour, strokeDash=[5, 4] if dash else [1, 0])

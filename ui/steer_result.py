"""What the edits did to the next token: probabilities, the followed logit among its controls, other supernodes."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from service import Service
from tracer import Graph, ReplacementModel, TracerError
from tracer.steering.controls import share
from tracer.steering.steered import Steered
from ui.graph_canvas import pretty_token
from ui.palette import NEGATIVE, POSITIVE
from ui.sidebar import plain, sentence
from ui.steer_draft import Steering
from ui.steer_progress import follow_stream
from ui.steer_run import Controlled, Outcome, controlled, dose, forget, kept, prompt_tokens, run_controls

TOP = 8
WHOLE: dict[str, Any] = {"labelFlush": False}  # of an axis: moved inwards, its last figure was cut
RUNS = {"without edits": "#8a9a99", "with edits": POSITIVE}


def result(model: ReplacementModel, graph: Graph | None, wanted: Steering, outcome: Outcome) -> None:
    """Drawn from the top down as it is known: controls take longer than the edits."""
    steered = outcome.steered
    with st.container():
        for warning in outcome.far[:3]:
            st.warning(
                f"Far outside what is known of it: {plain(warning)}. Effects there say little of the model's own."
            )
    _figures(model, wanted, outcome)
    _probabilities(model, steered)
    with st.container():
        _with_controls(model, graph, wanted, outcome)
    with st.container():
        if outcome.prediction is not None and graph is not None:
            _predicted(graph, outcome)
    with st.container():
        _supernodes(outcome)
    with st.expander("Values set", icon=":material/edit:"):
        _values(model, steered)


def _with_controls(model: ReplacementModel, graph: Graph | None, wanted: Steering, outcome: Outcome) -> None:
    if not outcome.steered.edits:
        st.caption(
            "These edits act on generated tokens alone: the next token stays as it is. Generate some text below."
        )
        return
    stream = run_controls(model, graph, wanted, outcome)
    if stream is None:
        return

    def words() -> str:
        now = controlled(stream)
        n = wanted.controls.n if now.controls is None else len(now.controls.sets)
        return "matching controls" if now.controls is None else f"{len(now.delta)} of {n} controls"

    follow_stream(
        "steer_controls",
        stream,
        words,
        lambda: _controls(model, outcome, controlled(stream)),
        again=lambda: forget("steer_controls"),
    )


def _figures(model: ReplacementModel, wanted: Steering, outcome: Outcome) -> None:
    steered = outcome.steered
    choices = list(dict.fromkeys([outcome.follow, *steered.top(TOP)]))
    chosen = st.selectbox(
        "Token followed",
        choices,
        key=f"steer_follow_{wanted.id}_{hash(wanted.tokens)}",
        format_func=lambda id: pretty_token(model.token_text(id)),
        help="Its logit is what controls and prediction are compared by.",
    )
    if chosen != outcome.follow:
        wanted.follow = chosen
        st.rerun(scope="fragment")
    before, after = steered.baseline_probabilities[outcome.follow], steered.probabilities[outcome.follow]
    first, last = steered.ranks(outcome.follow)
    row = st.container(horizontal=True, gap="medium")
    delta = float(steered.delta[outcome.follow])
    shown = (
        ("Probability", f"{float(after):.1%}", f"It was {float(before):.1%} without edits."),
        ("Rank", f"{first:,} → {last:,}", "Among all tokens, 1 the likeliest."),
        ("Δ logit", f"{delta:+.2f}", "Change of the logit less the mean logit, before any softcap, in nats."),
        ("KL", f"{steered.kl:.3f}", "Of the next token's distribution, from without edits to with them, in nats."),
    )
    for name, value, help_ in shown:
        row.metric(name, value, help=help_, width="content")


def _probabilities(model: ReplacementModel, steered: Steered) -> None:
    ids = steered.top(TOP)
    texts = [pretty_token(model.token_text(id)) for id in ids]
    names = [text if texts.count(text) == 1 else f"{text} {id}" for text, id in zip(texts, ids, strict=True)]
    both = zip(RUNS, (steered.baseline_probabilities, steered.probabilities), strict=True)
    table = pd.DataFrame(
        [
            {"token": name, "run": run, "probability": float(p[id]), "id": id}
            for run, p in both
            for name, id in zip(names, ids, strict=True)
        ]
    )
    bars = (
        alt.Chart(table)
        .mark_bar(height=8)
        .encode(
            y=alt.Y("token:N", sort=names, title=None, axis=alt.Axis(labelLimit=130)),
            yOffset=alt.YOffset("run:N", sort=list(RUNS)),
            x=alt.X("probability:Q", title="probability of the next token", axis=alt.Axis(format="%", **WHOLE)),
            color=alt.Color(
                "run:N",
                sort=list(RUNS),
                scale=alt.Scale(domain=list(RUNS), range=list(RUNS.values())),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["token", "run", alt.Tooltip("probability", format=".4f"), "id"],
        )
    )
    st.altair_chart(bars, height=max(180, 27 * len(ids) + 60))


def _controls(model: ReplacementModel, outcome: Outcome, controlled: Controlled) -> None:
    controls = controlled.controls
    if controls is None:
        return
    if controls.short is not None:
        st.info(sentence(controls.short))
    if not controlled.delta:
        return
    delta = float(outcome.steered.delta[outcome.follow])
    others = np.array(controlled.delta)
    low, high = np.quantile(others, [0.05, 0.95])
    # none of the colours alone: the edit is a diamond, controls are ticks, the band a box
    band = alt.Chart(pd.DataFrame({"low": [low], "high": [high]})).mark_rect(color="#8a9a99", opacity=0.3)
    ticks = alt.Chart(pd.DataFrame({"delta": others, "what": "a control"})).mark_tick(color="#8a9a99", thickness=2)
    edit = alt.Chart(pd.DataFrame({"delta": [delta], "what": ["these edits"]})).mark_point(
        shape="diamond", filled=True, opacity=1, size=160, color=POSITIVE if delta > 0 else NEGATIVE
    )
    title = f"Δ logit of {pretty_token(model.token_text(outcome.follow))}"
    axis = alt.Axis(**WHOLE)
    x = alt.X("delta:Q", title=title, axis=axis)
    st.altair_chart(
        band.encode(x=alt.X("low:Q", title=title, axis=axis), x2="high:Q")
        + ticks.encode(x=x, tooltip=["what", alt.Tooltip("delta", format="+.3f")])
        + edit.encode(x=x, tooltip=["what", alt.Tooltip("delta", format="+.3f")]),
        height=110,
    )
    if controls.kind == "sign":
        st.caption(f"◆ these edits {delta:+.2f}; | as much the other way: {others[0]:+.2f}.")
        return
    as_much, part = share(delta, others.tolist())
    n = len(others)
    st.caption(
        f"◆ these edits {delta:+.2f}; | {n} control{'s' if n > 1 else ''}: mean {others.mean():+.2f}, from"
        f" {others.min():+.2f} to {others.max():+.2f}; the band holds nine tenths. {as_much} of {n} do as much:"
        f" ({as_much} + 1)/({n} + 1) = {part:.3f}, on this one prompt, which proves nothing of others."
    )
    quality = "Each control writes as much as the edit that it stands for."
    if controls.kind in ("features", "influence"):
        ratios, singly = ([getattr(c, name) for c in controls.sets] for name in ("ratio", "worst"))
        what = "size" if controls.kind == "features" else "influence"
        quality += (
            f" Its features' own {what} is {np.median(ratios):.2f} of the edited ones' (median; 1 would be the same);"
            f" single features from {min(singly):.2f} to {max(singly):.2f}."
        )
    st.caption(quality)


def _predicted(graph: Graph, outcome: Outcome) -> None:
    assert outcome.prediction is not None
    found = outcome.prediction.of_target(graph, outcome.follow)
    if found is None:
        st.caption("The graph doesn't explain this token's logit, so it predicts nothing of it.")
        return
    measured = float(outcome.steered.delta[outcome.follow])
    text = (
        f"The graph predicted {found[0]:+.2f} by direct edges and {found[1]:+.2f} through its features; measured"
        f" {measured:+.2f} under `{outcome.steered.protocol}`. Only `direct` should equal the first."
    )
    if outcome.prediction.missing:
        text += f" {len(outcome.prediction.missing)} edited places are no nodes of the graph and left out of it."
    st.caption(text)


def _supernodes(outcome: Outcome) -> None:
    if not outcome.watched:
        return
    st.markdown("**Other supernodes**", help="Of the circuit, none of whose features is steered: Σ activations.")
    table = pd.DataFrame(outcome.watched, columns=["supernode", "before", "after"])
    table["of before"] = 100 * table["after"] / table["before"].where(table["before"] != 0)
    st.dataframe(
        table,
        hide_index=True,
        alt="activations of the other supernodes, before and after",
        column_config={
            "before": st.column_config.NumberColumn(format="%.3f"),
            "after": st.column_config.NumberColumn(format="%.3f"),
            "of before": st.column_config.NumberColumn(format="%.0f %%"),
        },
    )


def _values(model: ReplacementModel, steered: Steered) -> None:
    token = [pretty_token(model.token_text(id)) for id in steered.token_ids]
    table = pd.DataFrame(
        {
            "layer": [e.layer for e in steered.edits],
            "feature": [e.feature for e in steered.edits],
            "token": [f"{token[e.position]} ({e.position})" for e in steered.edits],
            "before": [e.before for e in steered.edits],
            "set to": [e.value for e in steered.edits],
        }
    )
    if not all(e.writes for e in steered.edits):
        table["writes"] = ["" if e.writes else "nothing in the range held" for e in steered.edits]
    number = st.column_config.NumberColumn(format="%.4f")
    st.dataframe(table, hide_index=True, alt="the edits", column_config={"before": number, "set to": number})


def dose_response(model: ReplacementModel, wanted: Steering, outcome: Outcome) -> None:
    """Runs only when asked for."""
    shown = st.toggle(
        "Dose–response", key="steer_dose", help="All rows at −2 to 2 × their activation.", persist_state="session"
    )
    if not shown:
        return
    try:
        runs = dose(model, wanted, outcome)
    except TracerError as problem:
        st.info(sentence(problem))
        return
    table = pd.DataFrame(
        [{"factor": factor, "delta": float(run.delta[outcome.follow]), "KL": run.kl} for factor, run in runs]
    )
    title = f"Δ logit of {pretty_token(model.token_text(outcome.follow))}"
    line = alt.Chart(table).encode(
        x=alt.X("factor:Q", title="× own activation", axis=alt.Axis(**WHOLE)),
        y=alt.Y("delta:Q", title=title),
        tooltip=["factor", alt.Tooltip("delta", format="+.3f"), alt.Tooltip("KL", format=".3f")],
    )
    st.altair_chart(line.mark_line(color=POSITIVE) + line.mark_point(color=POSITIVE, filled=True, size=60), height=220)


def prompt_only(service: Service, model: ReplacementModel, outcome: Outcome) -> None:
    """An instruction is often as good as an edit: what another prompt does to the same token."""
    text = st.text_input(
        "Against another prompt",
        key="steer_prompt_only",
        persist_state="session",
        placeholder="an instruction or another wording, without edits",
        help="What words alone do to the followed token: the baseline that steering should beat.",
        autocomplete="off",
    )
    if not text:
        return
    try:
        ids = prompt_tokens(service, model, text)
    except TracerError as problem:
        st.error(sentence(problem))
        return
    found = kept(
        "steer_other_prompt", f"{model.model_fingerprint} {ids}", lambda: model.record(ids).logits.double().softmax(-1)
    )
    top = [pretty_token(model.token_text(int(id))) for id in found.topk(3).indices]
    name = pretty_token(model.token_text(outcome.follow))
    st.caption(
        f"There {plain(name)} has {float(found[outcome.follow]):.1%}, against"
        f" {float(outcome.steered.probabilities[outcome.follow]):.1%} with the edits. Likeliest:"
        f" {plain(', '.join(top))}."
    )

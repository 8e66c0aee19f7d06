"""The columns of a comparison and how their texts are made: the fields."""

import streamlit as st

from lab import SteeringBody
from service import ModelView
from ui.compare_columns import FEWEST, KINDS, MOST, MOST_HEAT, MOST_TOKENS, Column, Comparison
from ui.compare_models import Models, made_with, model_fields
from ui.sidebar import plain, short_features
from ui.steer_draft import steering


def columns_form(wanted: Comparison, runs: dict[str, SteeringBody], models: Models, state: ModelView) -> None:
    """A box for each condition, and what is common to all. `state` is of the loaded model."""
    for at, (place, column) in enumerate(zip(st.columns(len(wanted.columns)), wanted.columns, strict=True)):
        with place.container(border=True, height="stretch"):
            _column(wanted, column, at, runs, models, state)
    add, length, heat, seed, go = st.columns([3, 2, 2, 2, 3], vertical_alignment="bottom")
    add.button(
        "Add a column",
        key="compare_add",
        icon=":material/add:",
        disabled=len(wanted.columns) >= MOST,
        on_click=wanted.add,
        width="stretch",
    )
    tag = wanted.revision
    wanted.n_tokens = int(
        length.number_input("Tokens", 1, MOST_TOKENS, wanted.n_tokens, key=f"compare_n_{tag}", help="Of each text.")
    )
    wanted.temperature = heat.number_input(
        "Temperature",
        0.0,
        MOST_HEAT,
        wanted.temperature,
        0.1,
        key=f"compare_t_{tag}",
        help="0: always the likeliest token.",
    )
    wanted.seed = int(
        seed.number_input(
            "Seed",
            0,
            2**31,
            wanted.seed,
            key=f"compare_seed_{tag}",
            help="The same for all columns, so that they differ by their conditions and not by their luck.",
        )
    )
    if go.button("Compare", key="compare_go", type="primary", width="stretch"):
        wanted.asked = True


def _column(
    wanted: Comparison, column: Column, at: int, runs: dict[str, SteeringBody], models: Models, state: ModelView
) -> None:
    tag = f"{wanted.revision}_{at}"
    head = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    kinds = list(KINDS)
    chosen = head.selectbox(
        f"Column {at + 1}",
        kinds,
        index=kinds.index(column.kind),
        format_func=KINDS.__getitem__,
        help="The others are compared with it." if at == 0 else None,
        key=f"compare_kind_{tag}",
    )
    column.kind = chosen
    head.button(
        "✕",
        key=f"compare_out_{tag}",
        help="Take this column out",
        disabled=len(wanted.columns) <= FEWEST,
        on_click=wanted.remove,
        args=(at,),
    )
    with st.container():
        if column.kind == "prompt":
            column.prompt = st.text_area(
                f"Prompt of column {at + 1}",
                column.prompt,
                key=f"compare_prompt_{tag}",
                height=80,
                placeholder="a baseline, an edited wording, another prompt",
            )
            model_fields(column, at, tag, models, state)
        elif column.kind == "run":
            _run(column, at, tag, runs)
        else:
            mine = steering()
            st.caption(f"Prompt: {plain(mine.prompt)}" if mine.prompt else "Nothing is steered in this tab yet.")
            st.page_link("pages/steer.py", label="To the Steer page", icon=":material/tune:")


def _run(column: Column, at: int, tag: str, runs: dict[str, SteeringBody]) -> None:
    options = list(runs)
    if column.run and column.run not in runs:
        options.append(column.run)  # of a link: it may be gone, which is then said
    if not options:
        st.caption("No saved runs yet: steer something on the Steer page and save it.")
        return
    column.run = st.selectbox(
        f"Run of column {at + 1}",
        options,
        index=options.index(column.run) if column.run in options else None,
        placeholder="choose a run",
        format_func=lambda id: runs[id].title if id in runs else id,
        key=f"compare_run_{tag}",
    )
    body = runs.get(column.run or "")
    if body is not None:
        choice = made_with(body)
        features = short_features(choice.features) if choice else "features that it does not name"
        st.caption(f"Runs on what it was made with: {plain(f'{short_features(body.model)}, {features}')}.")

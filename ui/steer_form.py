"""What is steered beside the rows: the prompt, what is added, the protocol, the controls."""

import streamlit as st

from lab import ControlsBody
from service import Service
from tracer import Graph, ReplacementModel, TracerError
from tracer.steering.controls import KINDS, WITHOUT_GRAPH, kinds_in_words
from ui.sidebar import sentence
from ui.steer_add import add_feature
from ui.steer_draft import START, Steering
from ui.steer_run import prompt_tokens
from ui.token_strip import token_strip

MOST_CONTROLS = 200
MOST_SEED = 2**31
MANY_TOKENS = 100  # that scroll within their box, so that the rows are not far below


def prompt_field(service: Service, model: ReplacementModel, wanted: Steering) -> None:
    text = st.text_input(
        "Prompt",
        wanted.prompt,
        key=f"steer_prompt_{wanted.id}",
        autocomplete="off",
        help="Enter runs it. Positions keep their numbers.",
    )
    with st.container():
        if text != wanted.prompt or not wanted.tokens:
            wanted.prompt, wanted.tokens = text, _tokens(service, model, text)
        if wanted.tokens:
            with st.container(height=200 if len(wanted.tokens) > MANY_TOKENS else "content"):
                token_strip(
                    [model.token_text(id) for id in wanted.tokens],
                    wanted.tokens,
                    key="steer_tokens",
                    label="Tokens of the prompt",
                    special=model.excluded_positions(wanted.tokens),
                )


def _tokens(service: Service, model: ReplacementModel, text: str) -> tuple[int, ...]:
    if not text:
        return ()
    try:
        return prompt_tokens(service, model, text)
    except TracerError as refusal:
        st.error(sentence(refusal))
        return ()


def buttons(service: Service, model: ReplacementModel, graph: Graph | None, wanted: Steering) -> None:
    """Below the rows."""
    again, back = st.columns(2)
    again.button(
        "Reset",
        key="steer_reset",
        help=f"All rows on, at {START:g} × their own activation",
        disabled=not wanted.rows,
        on_click=wanted.reset,
        width="stretch",
    )
    back.button(
        "Undo",
        key="steer_undo",
        help="Take the last change of the rows back",
        disabled=not wanted.former,
        on_click=wanted.undo,
        width="stretch",
    )
    with st.expander("Add a feature", icon=":material/add:"):  # a popover's fields are the page's last for Tab
        add_feature(service, model, graph, wanted)
    if problem := st.session_state.pop("steer_problem", None):
        st.error(sentence(problem))


def controls(wanted: Steering, one_prompt_graph: bool) -> None:
    kinds = list(KINDS) if one_prompt_graph else list(WITHOUT_GRAPH)
    kind, n, seed = st.columns([3, 2, 2])
    now = wanted.controls
    chosen = kind.selectbox(
        "Controls",
        kinds,
        index=kinds.index(now.kind) if now.kind in kinds else 0,
        key=f"steer_control_kind_{wanted.id}",
        help="Edits of the same size that should do nothing special: " + kinds_in_words(kinds),
    )
    count = n.number_input(
        "How many",
        0,
        MOST_CONTROLS,
        min(now.n, MOST_CONTROLS),
        key=f"steer_control_n_{wanted.id}",
        help="0: none",
    )
    start = seed.number_input(
        "Seed",
        0,
        MOST_SEED,
        min(now.seed, MOST_SEED),
        key=f"steer_control_seed_{wanted.id}",
        help="Control r is drawn with seed + r.",
    )
    wanted.controls = ControlsBody(kind=chosen, n=int(count), seed=int(start))

"""What is steered: the prompt, a row for each feature or supernode with its amount, the protocol, the controls."""

from collections.abc import Callable

import streamlit as st
from pydantic import ValidationError

from lab import ControlsBody, SteeredNode, SteeredRow
from service import Service
from tracer import ReplacementModel, TracerError
from tracer.errors import first_fault
from tracer.steering.controls import KINDS
from tracer.steering.edits import LARGEST
from ui.graph_canvas import pretty_token
from ui.sidebar import plain
from ui.slot import clear_rest
from ui.steer_draft import START, Steering
from ui.token_strip import token_strip

UNITS = {"factor": "× own", "value": "value", "maximum": "own + × max"}
UNIT_HELP = (
    "× own: a multiple of the activation at that token without edits; −1 turns it around, 0 takes it out. value: an"
    " activation. own + × max: its activation there plus a multiple of the largest in the corpus."
)
PROTOCOLS = {
    "direct": "Attention patterns, norm scales and all MLP outputs stay as they were: the graph's own prediction.",
    "constrained": "Patterns stay; MLP outputs of the chosen layers stay, the others follow: the papers' experiments.",
    "clamp": "Attention patterns stay, everything else follows: circuit-tracer's default.",
    "free": "Nothing is held: what a user of the model would see.",
}
SLIDER = 5.0  # amounts that a slider reaches, either way


def prompt_field(service: Service, model: ReplacementModel, wanted: Steering) -> None:
    key = f"steer_prompt_{wanted.graph}_{wanted.record}"
    st.session_state.setdefault(key, wanted.prompt)
    text = st.text_input("Prompt", key=key, autocomplete="off", help="Enter runs it. Positions keep their numbers.")
    if text != wanted.prompt or not wanted.tokens:
        wanted.prompt, wanted.tokens = text, _tokens(service, model, text)
    if wanted.tokens:
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
        ids = model.token_ids(text)
    except TracerError as refusal:
        st.error(f"{plain(str(refusal).capitalize())}.")
        return ()
    most = service.settings.max_tokens
    if len(ids) > most:
        st.error(f"{len(ids):,} tokens; the limit is {most:,} (HYPOGRAPH_MAX_TOKENS). Shorten the prompt.")
        return ()
    return tuple(ids)


def rows(model: ReplacementModel, wanted: Steering) -> None:
    with st.container():
        for at in range(len(wanted.rows)):
            _row(model, wanted, at)
        clear_rest("steer_rows_places", len(wanted.rows))
    again, back, add = st.columns([1, 1, 2], vertical_alignment="center")
    again.button(
        "Reset",
        key="steer_reset",
        help=f"All rows on, at {START:g} × their own activation",
        disabled=not wanted.rows,
        on_click=wanted.reset,
        width="stretch",
    )
    back.button(
        "Undo", key="steer_undo", help="Bring back the row that was taken out last", disabled=not wanted.removed,
        on_click=wanted.bring_back, width="stretch",
    )  # fmt: skip
    with add.popover("Add a feature", icon=":material/add:", width="stretch"):
        _add(model, wanted)
    if problem := st.session_state.pop("steer_problem", None):
        st.error(plain(problem))


def _row(model: ReplacementModel, wanted: Steering, at: int) -> None:
    row, tag = wanted.rows[at], f"{wanted.revision}_{at}"
    with st.container(border=True):
        on, out = st.columns([9, 1], vertical_alignment="center", wrap=False)
        on.toggle(
            f"**{plain(row.name)}**",
            value=row.on,
            key=f"steer_on_{tag}",
            help=_places(model, wanted, row),
            on_change=_said,
            args=(lambda: wanted.change(at, on=st.session_state[f"steer_on_{tag}"]),),
        )
        out.button("✕", key=f"steer_out_{tag}", help="Take this row out", on_click=wanted.remove, args=(at,))
        unit, amount, onward = st.columns([5, 8, 5], vertical_alignment="bottom")
        unit.selectbox(
            "Unit",
            list(UNITS),
            index=list(UNITS).index(row.unit),
            key=f"steer_unit_{tag}",
            format_func=UNITS.__getitem__,
            help=UNIT_HELP,
            on_change=_unit,
            args=(wanted, at, f"steer_unit_{tag}"),
        )
        key = f"steer_amount_{tag}_{row.unit}"
        change = (lambda: wanted.change(at, amount=float(st.session_state[key])),)
        if row.unit != "value" and abs(row.amount) <= SLIDER:
            amount.slider(
                UNITS[row.unit], -SLIDER, SLIDER, float(row.amount), 0.1, key=key, on_change=_said, args=change
            )
        else:
            amount.number_input(
                UNITS[row.unit],
                -LARGEST,
                LARGEST,
                float(row.amount),
                key=key,
                format="%g",
                on_change=_said,
                args=change,
            )
        onward.checkbox(
            "onward",
            value=row.onward,
            key=f"steer_onward_{tag}",
            help="At every token from its own on, generated ones too.",
            on_change=_said,
            args=(lambda: wanted.change(at, onward=st.session_state[f"steer_onward_{tag}"]),),
        )


def _unit(wanted: Steering, at: int, key: str) -> None:
    """Another unit starts where nothing changes by much: an amount of one is none of another."""
    unit = st.session_state[key]
    _said(lambda: wanted.change(at, unit=unit, amount=START if unit == "factor" else 0.0))


def _places(model: ReplacementModel, wanted: Steering, row: SteeredRow) -> str:
    """Where its features are, in words."""
    said = []
    for node in row.nodes[:20]:
        token = "outside the prompt"
        if node.position < len(wanted.tokens):
            token = pretty_token(model.token_text(wanted.tokens[node.position]))
        said.append(f"L{node.layer} · {node.feature} @ {token} ({node.position})")
    more = f" and {len(row.nodes) - 20} more" if len(row.nodes) > 20 else ""
    return plain("; ".join(said) + more)


def _add(model: ReplacementModel, wanted: Steering) -> None:
    """By its numbers, at a token."""
    layer = st.number_input("Layer", 0, model.n_layers - 1, key="steer_add_layer")
    feature = st.number_input(
        "Feature",
        0,
        model.basis.n_features - 1,
        key="steer_add_feature",
        help=f"{model.basis.n_features:,} in each layer",
    )
    last = max(len(wanted.tokens) - 1, 0)
    position = st.number_input("Position", 0, last, last, key=f"steer_add_position_{last}", help="Its token's place")

    def add() -> None:
        node = SteeredNode(layer=int(layer), position=int(position), feature=int(feature))
        row = SteeredRow(name=f"L{node.layer} · {node.feature} @ {node.position}", nodes=(node,), amount=START)
        wanted.add(row)

    st.button("Add", key="steer_add", type="primary", on_click=_said, args=(add,), disabled=not wanted.tokens)


def protocol(model: ReplacementModel, wanted: Steering) -> None:
    names = list(PROTOCOLS)
    chosen = st.segmented_control(
        "Protocol: what is held",
        names,
        default=wanted.protocol,
        key=f"steer_protocol_{wanted.record}",
        required=True,
    )
    wanted.protocol = chosen or wanted.protocol
    st.caption(PROTOCOLS[wanted.protocol])
    with st.container():
        if wanted.protocol == "constrained":
            n = model.n_layers
            first, last = wanted.layers or (0, n - 1)
            held = st.slider(
                "Layers whose MLP outputs are held", 0, n - 1, (first, min(last, n - 1)), key="steer_layers"
            )
            wanted.layers = (held[0], held[1] + 1)
        else:
            wanted.layers = None


def controls(wanted: Steering, one_prompt_graph: bool) -> None:
    kinds = [kind for kind in KINDS if kind != "influence" or one_prompt_graph]
    kind, n, seed = st.columns([3, 2, 2])
    now = wanted.controls
    chosen = kind.selectbox(
        "Controls",
        kinds,
        index=kinds.index(now.kind) if now.kind in kinds else 0,
        key=f"steer_control_kind_{wanted.record}",
        help="Edits of the same size that should do nothing special: " + "; ".join(f"{k}: {KINDS[k]}" for k in kinds),
    )
    count = n.number_input("How many", 0, 200, now.n, key=f"steer_control_n_{wanted.record}", help="0: none")
    start = seed.number_input(
        "Seed", 0, 2**31, now.seed, key=f"steer_control_seed_{wanted.record}", help="Control r is drawn with seed + r."
    )
    wanted.controls = ControlsBody(kind=chosen, n=int(count), seed=int(start))


def _said(work: Callable[[], object]) -> None:
    """Run a callback; what is wrong is shown below the rows."""
    try:
        work()
    except ValidationError as problem:
        st.session_state["steer_problem"] = first_fault(problem)

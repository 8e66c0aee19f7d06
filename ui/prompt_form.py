"""The prompt, its tokens, what the model would say next, and what to explain: everything before a trace."""

import altair as alt
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from service import Service, TraceRequest
from service.tracing import seconds_of_trace
from tracer import Difference, ReplacementModel, TracerError
from tracer.replacement import TokenProbability
from ui.feature_picker import feature_picker, feature_trouble
from ui.graph_canvas import pretty_token
from ui.job_panel import submit
from ui.palette import POSITIVE
from ui.sidebar import plain, sentence
from ui.token_strip import token_strip

KINDS = ["Most likely", "Chosen tokens", "Difference"]
START = {
    "prompt": "",
    "several_lines": False,
    "mode": "Plain",
    "target_kind": KINDS[0],
    "max_nodes": None,  # as many as the feature basis takes by default
    "max_logits": 10,
    "logit_mass": 0.95,
}


def prompt_form(service: Service, preview_in: DeltaGenerator) -> None:
    """Draws the form; the preview goes into `preview_in`."""
    _keep()
    model = service.model
    prompt, chat = _prompt_input(service, model)
    feature_trouble(service)
    if _is_on_its_way(service):
        st.info("The model is being prepared: its progress is in the sidebar. You can type meanwhile.")
        _wait_for_model(service)
    if model is None:
        return
    if not prompt:
        st.caption("Type a prompt, or take one of the examples below.")
        return
    try:
        ids = model.chat_ids(prompt) if chat else model.token_ids(prompt)
    except TracerError as refusal:
        st.error(f"{plain(str(refusal).capitalize())}.")
        return
    limit = service.settings.max_tokens
    _tokens(model, ids, limit)
    if len(ids) > limit:
        st.error(f"{len(ids):,} tokens; the limit is {limit:,} (HYPOGRAPH_MAX_TOKENS). Shorten the prompt.")
        return
    preview = _preview(model.model_fingerprint, tuple(ids), model)
    with preview_in:
        _show_preview(preview, prompt, chat)
    with st.container():  # one place whatever it holds: a button that moved would be there twice until the run ends
        targets, problem = _targets(model, preview)
    position, settings = _settings(model, ids)
    cut = tuple(ids[: position + 1])
    request = TraceRequest(tokens=cut, prompt=prompt, targets=targets, **settings)
    go, estimate = st.columns([1, 3], vertical_alignment="center")
    go.button(
        "Trace",
        type="primary",
        key="trace",
        disabled=problem,
        on_click=submit,
        args=(service, request),
        width="stretch",
    )
    estimate.caption(_estimate(service, model, len(cut), settings["max_nodes"]))


def _keep() -> None:
    """Set all fields as they were, or to start with: Streamlit forgets those that another page does not show."""
    state = st.session_state
    for key, value in (START | state.get("form", {})).items():
        state.setdefault(key, value)
    state["form"] = {key: state[key] for key in (*START, "target_tokens", "target_a", "target_b") if key in state}


def _same_prompt() -> None:
    """Into the other field for it, which Streamlit would start empty."""
    st.session_state["prompt"] = st.session_state["form"]["prompt"]


def _prompt_input(service: Service, model: ReplacementModel | None) -> tuple[str, bool]:
    if st.session_state["several_lines"]:
        prompt = st.text_area("Prompt", key="prompt", height=140, help="Ctrl+Enter updates the tokens.")
    else:
        prompt = st.text_input(
            "Prompt", key="prompt", live="250ms", placeholder="Michael Jordan plays the sport of", autocomplete="off"
        )
    switches = st.container(horizontal=True, vertical_alignment="center")
    chat = False
    if model is not None and model.has_chat_template:
        with switches:
            mode = st.segmented_control(
                "How the prompt is put",
                ["Plain", "Chat"],
                key="mode",
                label_visibility="collapsed",
                help="Plain: the text as it is. Chat: as a user's message in the model's template.",
            )
        chat = mode == "Chat"
    with switches:
        feature_picker(service)
        st.toggle("Several lines", key="several_lines", on_change=_same_prompt)
    return prompt or "", chat


def _is_on_its_way(service: Service) -> bool:
    """A model, or another feature set, that is loaded or will be once the queue is empty."""
    state = service.model_state()
    return state.state == "loading" or state.switching_to is not None


@st.fragment(run_every=1.0)
def _wait_for_model(service: Service) -> None:
    if not _is_on_its_way(service):
        st.rerun()


def _tokens(model: ReplacementModel, ids: list[int], limit: int) -> None:
    shown = ids[:limit]
    excluded = model.excluded_positions(ids) if ids else []
    token_strip(
        [model.token_text(i) for i in shown],
        shown,
        key="tokens",
        label="Tokens of the prompt",
        special=[p for p, i in enumerate(shown) if i in model.tokenizer.all_special_ids],
    )
    words = f"{len(ids):,} token" + ("" if len(ids) == 1 else "s")
    if excluded:
        words += f". Position 0 ({plain(model.token_text(ids[0]))}) is a special token: it has no feature nodes"
    st.caption(words + ".")


@st.cache_data(max_entries=500, show_spinner=False)
def _preview(_fingerprint: str, ids: tuple[int, ...], _model: ReplacementModel) -> list[TokenProbability]:
    return _model.next_tokens(ids, 10)


def _show_preview(preview: list[TokenProbability], prompt: str, chat: bool) -> None:
    st.markdown("**Next token**", help="What the model would say after the prompt: its ten most likely tokens.")
    table = pd.DataFrame(
        {"token": [pretty_token(t.token) for t in preview], "probability": [t.probability for t in preview]}
    )
    base = alt.Chart(table).encode(
        y=alt.Y("token:N", sort=None, title=None, axis=alt.Axis(labelLimit=130)),
        x=alt.X("probability:Q", title=None, axis=None, scale=alt.Scale(domain=[0, 1.15 * table.probability.max()])),
        tooltip=["token", alt.Tooltip("probability", format=".4f")],
    )
    labels = base.mark_text(align="left", dx=4, color="currentColor").encode(
        text=alt.Text("probability:Q", format=".1%")
    )
    st.altair_chart(base.mark_bar(color=POSITIVE, height=11) + labels, height=230)
    if not chat and prompt.endswith(" "):
        st.warning(
            "The prompt ends with a space. Most tokens begin with one: without it the prediction is more natural."
        )
    if preview[0].token.strip() == "":
        st.warning(
            "The most likely token is white space, so its graph says little. Ask for a word: end the prompt later."
        )


def _targets(
    model: ReplacementModel, preview: list[TokenProbability]
) -> tuple[tuple[int, ...] | Difference | None, bool]:
    """What to explain, as token ids, and whether something is wrong with it, which is then said."""
    kind = st.segmented_control(
        "Explain",
        KINDS,
        key="target_kind",
        required=True,
        help="Most likely: the top tokens, weighted by probability. Chosen tokens: these, equally."
        " Difference: the logit of A minus that of B.",
    )
    options = [t.token for t in preview]
    try:
        if kind == "Chosen tokens":
            typed = [t for t in st.session_state.get("target_tokens", []) if t not in options]
            texts = st.multiselect(
                "Tokens",
                options + typed,
                key="target_tokens",
                format_func=pretty_token,
                accept_new_options=True,
                help="From the list, or type a text that is exactly one token; mind the space before it.",
            )
            if not texts:
                raise TracerError("choose at least one token")
            return tuple(model.token_id(text) for text in texts), False
        if kind == "Difference":
            a, b = (_one_token(column, i, options) for i, column in enumerate(st.columns(2)))
            if a is None or b is None or a == b:
                raise TracerError("choose two different tokens")
            return Difference(model.token_id(a), model.token_id(b)), False
    except TracerError as problem:
        st.warning(sentence(problem))
        return None, True
    return None, False


def _one_token(column: DeltaGenerator, index: int, options: list[str]) -> str | None:
    key, label = (("target_a", "A"), ("target_b", "minus B"))[index]
    typed = st.session_state.get(key)
    choices = options if typed is None or typed in options else [typed, *options]
    start = None if key in st.session_state else min(index, len(choices) - 1)
    return column.selectbox(
        label, choices, index=start or 0, key=key, format_func=pretty_token, accept_new_options=True
    )


def _settings(model: ReplacementModel, ids: list[int]) -> tuple[int, dict]:
    """The position after which to explain, and the engine's settings."""
    last = len(ids) - 1

    def name(p: int) -> str:
        return f"{p}: {pretty_token(model.token_text(ids[p]))}" + (" (last)" if p == last else "")

    with st.expander("Settings", icon=":material/tune:"):
        position = st.selectbox(
            "Prediction after token",
            range(len(ids)),
            index=last,
            key=f"position_{hash(tuple(ids))}",  # a new prompt starts at its own end
            format_func=name,
            help="The graph explains what the model predicts after this token; the prompt is cut there.",
        )
        nodes = st.number_input(
            "Nodes",
            min_value=10,
            max_value=20_000,
            step=100,
            key="max_nodes",
            placeholder=f"{model.basis.default_nodes:,}",
            help="How many features the graph may have. More explain more and take longer; the rest is kept in sums.",
        )
        max_logits = st.number_input(
            "Most targets",
            min_value=1,
            max_value=50,
            key="max_logits",
            help="For the most likely tokens: at most so many are explained together.",
        )
        logit_mass = st.slider(
            "Probability reached",
            0.1,
            1.0,
            step=0.01,
            key="logit_mass",
            help="For the most likely tokens: as many as are needed to reach this probability together.",
        )
    max_nodes: int | str = "auto" if nodes is None else int(nodes)
    return position, {"max_nodes": max_nodes, "max_logits": int(max_logits), "logit_mass": float(logit_mass)}


def _estimate(service: Service, model: ReplacementModel, n_tokens: int, max_nodes: int | str) -> str:
    waiting = sum(1 for job in service.jobs() if not job.over)
    queue = f", {waiting} ahead in the queue" if waiting else ""
    queue += "; an admin holds the queue" if service.paused else ""
    return f"about {round(seconds_of_trace(service.cache, model, n_tokens, max_nodes))} s{queue}"

"""Text under edits, token by token, beside the text without them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from service import Stream
from tracer import Edit, Progress, ReplacementModel, Sampling
from tracer.steering.generate import Token
from ui.graph_canvas import pretty_token
from ui.sidebar import plain
from ui.steer_draft import Steering
from ui.steer_progress import follow_stream

MOST = 100
NAMES = ("Without edits", "With edits")


@dataclass(frozen=True)
class Generated:
    """The texts that this tab asked for last."""

    asked: str  # with which edits and settings
    tokens: tuple[int, ...]  # of the prompt
    n: int
    stream: Stream  # of Token


def text_under_edits(model: ReplacementModel, wanted: Steering, edits: Sequence[Edit]) -> None:
    length, heat, seed, go = st.columns([2, 2, 2, 2], vertical_alignment="bottom")
    n = int(length.number_input("Tokens", 1, MOST, 20, key="steer_n_tokens", persist_state="session"))
    temperature = heat.number_input(
        "Temperature",
        0.0,
        5.0,
        0.0,
        0.1,
        key="steer_temperature",
        help="0: always the likeliest token",
        persist_state="session",
    )
    luck = seed.number_input(
        "Seed", 0, 2**31, 0, key="steer_seed", help="The same for both texts.", persist_state="session"
    )
    sampling = Sampling(float(temperature), seed=int(luck))
    asked = repr((wanted.tokens, list(edits), wanted.protocol, wanted.layers, n, sampling))
    if go.button("Generate", key="steer_generate", type="primary", width="stretch"):
        if (before := st.session_state.get("steer_text")) is not None:
            before.stream.cancel()
        work = partial(_generated, model, wanted.tokens, list(edits), wanted.protocol, wanted.layers, n, sampling)
        stream = Stream(work, "ask for fewer tokens, or shorten the prompt")
        st.session_state["steer_text"] = Generated(asked, wanted.tokens, n, stream)
    with st.container():
        _show(model, st.session_state.get("steer_text"), asked)
    st.caption(
        "On the prompt the edits act under the protocol. Those of generated tokens, and those that go on from a token,"
        " act on what is generated too, where nothing is held."
    )


def _generated(
    model: ReplacementModel,
    tokens: Sequence[int],
    edits: list[Edit],
    protocol: str,
    layers: tuple[int, int] | None,
    n: int,
    sampling: Sampling,
    progress: Progress,
) -> Iterator[Token]:
    conditions: list[list[Edit]] = [[], edits]
    return model.generate(
        tokens=list(tokens),
        conditions=conditions,
        protocol=protocol,
        layers=layers,
        n_tokens=n,
        sampling=sampling,
        progress=progress,
    )


def _show(model: ReplacementModel, last: Generated | None, asked: str) -> None:
    """What was generated last stays, also when the settings are others by now."""
    if last is None:
        _columns(model, [], ())
        return
    if last.asked != asked:
        st.caption("Of the edits and settings before. Press Generate for those that are set now.")

    def words() -> str:
        done = max((token.index + 1 for token in last.stream.found()), default=0)
        return f"{done} of {last.n} tokens"

    follow_stream("steer_text", last.stream, words, lambda: _columns(model, last.stream.found(), last.tokens))


def _columns(model: ReplacementModel, found: Sequence[Token], prompt: Sequence[int]) -> None:
    for condition, column in enumerate(st.columns(2)):
        ids = [token.id for token in found if token.condition == condition]
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{NAMES[condition]}**")
            if not found:
                st.caption("Press Generate.")
                continue
            st.text(model.continuation(prompt, ids))
            if ids and ids[-1] in model.stop_tokens:
                st.caption(f"Ends here: the model said {plain(pretty_token(model.token_text(ids[-1])))}.")

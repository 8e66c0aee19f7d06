"""What comes bit by bit on the Steer page: drawn as it comes, with its progress and a button that stops it."""

from collections.abc import Callable

import streamlit as st

from service import Stream
from ui.sidebar import plain

PATIENCE = 0.3
"""Seconds in which short work ends, so that it is drawn at once and not a moment later."""


def follow_stream(
    name: str,
    stream: Stream,
    words: Callable[[], str],
    draw: Callable[[], None],
    again: Callable[[], None] | None = None,
) -> None:
    """`draw` shows what there is so far; `words` say how far it is. `name`: of its buttons; `again` starts it anew."""
    if not stream.wait(PATIENCE):
        _coming(name, stream, words, draw)
        return
    head, body = st.container(), st.container()
    if stream.error is not None or stream.cancelled:
        said, button = head.columns([5, 2], vertical_alignment="center")
        text = f"Stopped: {words()}" if stream.error is None else stream.error[:1].upper() + stream.error[1:]
        said.warning(f"{plain(text)}.")
        if again is not None and stream.cancelled:
            button.button("Run again", key=f"{name}_again", on_click=again, width="stretch")
    with body:
        draw()


@st.fragment(run_every=0.4)
def _coming(name: str, stream: Stream, words: Callable[[], str], draw: Callable[[], None]) -> None:
    if stream.over:
        st.rerun()
    head, body = st.container(), st.container()
    bar, stop = head.columns([5, 2], vertical_alignment="center")
    bar.progress(min(max(stream.fraction, 0.0), 1.0), text=plain(words()))
    stop.button("Cancel", key=f"{name}_cancel", on_click=stream.cancel, width="stretch")
    with body:
        draw()

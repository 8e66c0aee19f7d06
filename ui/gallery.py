"""Worked examples to start from."""

import streamlit as st

from ui.examples import EXAMPLES, Example
from ui.graph_canvas import pretty_token
from ui.sidebar import plain

COLUMNS = 5


def gallery() -> None:
    st.subheader("Examples")
    for start in range(0, len(EXAMPLES), COLUMNS):
        for column, example in zip(st.columns(COLUMNS), EXAMPLES[start : start + COLUMNS], strict=False):
            with column.container(border=True, height="stretch"):
                answer = pretty_token(example.answer) + (f" − {pretty_token(example.minus)}" if example.minus else "")
                st.markdown(f"**{plain(example.prompt)}** → {plain(answer)}")
                st.caption(plain(example.look))
                st.button("Use", key=f"example_{example.prompt}", on_click=_take, args=(example,))


def _take(example: Example) -> None:
    st.session_state["prompt"] = example.prompt
    st.session_state["several_lines"] = False
    st.session_state["mode"] = "Plain"
    if example.minus:
        st.session_state["target_kind"] = "Difference"
        st.session_state["target_a"], st.session_state["target_b"] = example.answer, example.minus
    else:
        st.session_state["target_kind"] = "Most likely"

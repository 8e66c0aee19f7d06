"""Changes pages on the server while fragments' timers go off all the time: Streamlit may take the new page away."""

import time

import streamlit as st

from ui.fragments import mind_fragments

mind_fragments()


@st.fragment(run_every=0.1)
def ticking(title: str) -> None:
    time.sleep(0.03)
    st.caption(f"ticking on {title}")


@st.fragment(run_every=0.1)
def watching() -> None:
    st.caption("watching")
    if time.monotonic() > st.session_state["until"]:
        st.session_state["go"] = True
        st.rerun()


@st.fragment
def shrinking() -> None:
    for n in range(1 if st.button("Fewer") else 3):
        time.sleep(0.1)
        st.text(f"line {n}")


def one() -> None:
    if st.session_state.pop("go", False):
        time.sleep(0.2)
        st.switch_page(second)
    st.title("One")
    st.session_state.setdefault("until", time.monotonic() + 2)
    watching()


def two() -> None:
    time.sleep(0.3)
    st.title("Two")
    st.text(f"n is {st.query_params.get('n')}")
    shrinking()


second = st.Page(two, title="Two")
page = st.navigation([st.Page(one, title="One", default=True), second])
with st.sidebar:
    ticking(page.title)
page.run()

"""Changes pages on the server while fragments' timers go off all the time: Streamlit may take the new page away."""

import time

import streamlit as st
from streamlit import runtime
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

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


def three() -> None:
    """Ends while the event loop does something else for long, and hears of a clock before it hears of this."""
    context = get_script_run_ctx()
    st.title("Three")
    naming_itself()
    session = runtime.get_instance()._session_mgr.get_active_session_info(context.session_id).session
    session._event_loop.call_soon_threadsafe(has_much_to_do, session, st.session_state["itself"])
    time.sleep(0.1)
    st.text("the last line")


@st.fragment
def naming_itself() -> None:
    st.session_state["itself"] = ThreadState.get().fragment_id


def has_much_to_do(session: AppSession, fragment: str) -> None:
    time.sleep(1)
    session.request_rerun(ClientState(fragment_id=fragment, is_auto_rerun=True))


second = st.Page(two, title="Two")
page = st.navigation([st.Page(one, title="One", default=True), second, st.Page(three, title="Three")])
with st.sidebar:
    ticking(page.title)
page.run()

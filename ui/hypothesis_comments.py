"""What people say of a hypothesis: short, in the order in which they said it; nobody changes it afterwards."""

import streamlit as st
from pydantic import ValidationError

from lab import About, CommentBody, LabError, Record
from lab.bodies import MOST_COMMENT
from tracer.errors import first_fault
from ui.hypothesis_look import when
from ui.hypothesis_opened import Opened
from ui.session import get_lab, me
from ui.sidebar import plain


def comments(opened: Opened) -> None:
    found: list[Record[CommentBody]] = get_lab().find("comment", me(), About(hypothesis=opened.id))
    st.subheader(f"Comments ({len(found)})" if found else "Comments")
    with st.container():
        for record in reversed(found):
            _comment(opened.id, record)
        if gone := st.session_state.get(_gone(opened.id)):
            st.button("Undo: bring the comment back", key="comment_undo", on_click=_bring_back, args=(opened.id, gone))
        if problem := st.session_state.pop("comment_problem", None):
            st.error(plain(problem))
    with st.form(f"comment_{opened.id}", border=False):
        st.text_area(
            "Say something of it",
            key=_text(opened.id),
            height=80,
            max_chars=MOST_COMMENT,
            help="It stays as it is said, with your name and the time. You alone can take it away.",
        )
        st.form_submit_button("Comment", on_click=_say, args=(opened,))


def _text(hypothesis: str) -> str:
    """Key of what is being written."""
    return f"comment_text_{hypothesis}"


def _gone(hypothesis: str) -> str:
    """Key of the comment that was taken away last."""
    return f"comment_gone_{hypothesis}"


def _comment(hypothesis: str, record: Record[CommentBody]) -> None:
    said = st.container(key=f"comment_{record.id}", gap=None)
    head = said.container(horizontal=True, vertical_alignment="center", gap="small")
    private = " · private" if record.visibility == "private" else ""
    head.caption(f"**{plain(record.owner.name)}**, {when(record.created)}{private}", width="content")
    if record.owner.id == me().id:
        head.button(
            "Take away",
            key=f"uncomment_{record.id}",
            type="tertiary",
            on_click=_take_away,
            args=(hypothesis, record.id),
        )
    said.text(record.head.body.text)


def _say(opened: Opened) -> None:
    """As visible as the hypothesis. What can't be saved stays in its field."""
    key = _text(opened.id)
    try:
        body = CommentBody(text=st.session_state[key])
        get_lab().create(me(), About(hypothesis=opened.id), body, opened.record.visibility)
        st.session_state[key] = ""
    except ValidationError as problem:
        st.session_state["comment_problem"] = first_fault(problem)
    except LabError as problem:
        st.session_state["comment_problem"] = str(problem)


def _take_away(hypothesis: str, id: str) -> None:
    try:
        get_lab().delete(id, me())
        st.session_state[_gone(hypothesis)] = id
    except LabError as problem:
        st.session_state["comment_problem"] = str(problem)


def _bring_back(hypothesis: str, id: str) -> None:
    st.session_state.pop(_gone(hypothesis), None)
    try:
        get_lab().undelete(id, me())
    except LabError as problem:
        st.session_state["comment_problem"] = str(problem)

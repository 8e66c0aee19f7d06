"""Who sees a record: its owner chooses, others are told."""

from collections.abc import Callable

import streamlit as st

from lab import LabError, Record
from ui.session import get_lab, me
from ui.sidebar import plain

SEEN_BY = {"lab": "The whole lab", "private": "Only me"}


def who_sees(record: Record, said: Callable[[Callable[[], object]], None], follow: str = "") -> None:
    """`said`: runs a callback, and shows what is wrong. `follow`: what becomes as visible with it, in a sentence."""
    key = f"who_sees_{record.id}"
    st.session_state[key] = record.visibility
    st.segmented_control(
        "Who sees it",
        list(SEEN_BY),
        key=key,
        format_func=SEEN_BY.__getitem__,
        required=True,
        disabled=record.owner.id != me().id,
        help=f"It belongs to {plain(record.owner.name)}, who alone can change this. {follow}".rstrip(),
        on_change=said,
        args=(lambda: get_lab().show_to(record.id, me(), st.session_state[key]),),
    )


def seen_as(*records: str | None) -> str:
    """The visibility of what is made of these, by their ids, as far as they are saved: private if one of them is."""
    try:
        seen = {get_lab().get(id, me()).visibility for id in records if id is not None}
    except LabError:  # its owner keeps it private by now
        return "private"
    return "private" if "private" in seen else "lab"

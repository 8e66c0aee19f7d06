"""What this server logs and keeps, for how long, and who sees it: as it is set up here."""

import streamlit as st

from lab.database import without_password
from service import Service
from ui.login import way
from ui.session import get_lab, me
from ui.sidebar import plain

NOT_KEPT = (
    "Nothing is sent to anybody: no usage figures, no prompts. Only what you ask for leaves this server: a model or"
    " feature set from the Hub, a graph or a feature that you look up on Neuronpedia."
)


def what_is_kept(service: Service) -> None:
    settings = service.settings
    rows = [
        (
            "Who you are",
            _identity(),
            "the record",
            "until whoever runs this server erases you",
            "everybody here (your login by admins alone)",
        ),
        (
            "What you write: labels, circuits, steering runs, hypotheses, their runs, comments, batches",
            "all versions, with author and time; a deleted one can be restored",
            "the record",
            "until it is erased; in backups as long as those are kept",
            "you alone where it is private, else by everybody here",
        ),
        (
            "Graphs of prompts that you trace or import, with the prompt",
            "weights of the graph, tokens, settings; not who asked",
            "the cache",
            f"until {settings.cache_gb:g} GB are full and it is the one longest not looked at, or it is deleted",
            "everybody here",
        ),
        (
            "What waits, runs and ran",
            "your jobs with the start of the prompt",
            "memory (and, until it is answered, the record: so that a crash loses no request)",
            "the latest 200, until the server restarts",
            "you; admins see that you asked, not what; who asks for the same waits with you, without knowing",
        ),
        (
            "What you try on Steer and Compare",
            "prompt, edits, texts",
            "memory",
            "until you close the tab, unless you save it",
            "you alone",
        ),
        (
            "The log of the server",
            "a job's number, how it ended and how long it took; errors. No prompt, no text of yours",
            "the server's output",
            "as long as whoever runs it keeps that",
            "who runs this server",
        ),
    ]
    for what, of_it, where, how_long, who in rows:
        with st.container(border=True):
            st.markdown(f"**{what}**: {of_it}.")
            st.caption(plain(f"In {where}, {how_long}. Seen by {who}."))
    st.caption(NOT_KEPT)
    st.caption(plain(f"The record: {without_password(settings.database)}. The cache: {settings.cache}."))


def own_words() -> None:
    person = me()
    count = get_lab().count_of(person)
    st.subheader("Yours")
    st.markdown(
        f"You are here as **{plain(person.name)}**, {person.role}, and own {count:,} record{'s' * (count != 1)}."
        " Whoever runs this server can erase one of them, or you with all that you wrote, for good:"
    )
    st.code(f"make purge PERSON={person.id}", language="sh")


def _identity() -> str:
    by_provider = "name, the provider's address and its number for you; in a cookie for 30 days, until you log out"
    return {
        "provider": by_provider,
        "proxy": "the name that the proxy gives",
        "local": "the name of this machine's user",
    }[way()]

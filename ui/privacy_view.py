"""What this server logs and keeps, for how long, and who sees it: as it is set up here."""

import pandas as pd
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
            "until an admin erases you (make purge)",
            "your name: everybody here; your login: admins",
        ),
        (
            "What you write: labels, circuits, steering runs, hypotheses, their runs, comments",
            "all versions, with author and time; a deleted one can be restored",
            "the record",
            "until it is erased (make purge); backups keep it as long as they are kept",
            "private: you alone; else everybody here",
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
            "memory",
            "the latest 200, until the server restarts",
            "you and admins see whose they are; anybody can wait for the same one",
        ),
        (
            "What you try on Steer and Compare",
            "prompt, edits, texts",
            "this tab's memory",
            "until you close the tab, unless you save it",
            "you alone",
        ),
        (
            "The log of the server",
            "a job's id, how it ended and how long it took; errors. No prompt, no text of yours",
            "what started the server decides",
            "as long as it is kept there",
            "who runs this server",
        ),
    ]
    table = pd.DataFrame(rows, columns=["what", "what of it", "where", "how long", "who sees it"])
    st.table(table.set_index("what"))
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

"""What this server logs and keeps, for how long, and who sees it: as it is set up here."""

import pandas as pd
import streamlit as st

from lab import LabError
from lab.database import without_password
from service import Service, Settings
from ui.login import way
from ui.session import get_lab, me
from ui.sidebar import plain, sentence

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
            "weights of the graph, tokens, settings; " + _whose(settings),
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
            "numbers of a job and of who asked for it, how it ended and how long it took; where an error happened. "
            + _logged(settings),
            "the server's output",
            "as long as whoever runs it keeps that",
            "who runs this server",
        ),
    ]
    if settings.metrics_port is not None:
        rows.append(
            (
                "Figures for machines",
                "how many jobs, seconds, memory, size of the cache; of nobody in particular",
                f"memory, for programs on this machine (port {settings.metrics_port})",
                "until the server restarts",
                "who runs this server",
            )
        )
    for what, of_it, where, how_long, who in rows:
        with st.container(border=True):
            st.markdown(f"**{what}**: {of_it}.")
            st.caption(plain(f"In {where}, {how_long}. Seen by {who}."))
    st.caption(NOT_KEPT)
    st.caption(plain(f"The record: {without_password(settings.database)}. The cache: {settings.cache}."))


def _whose(settings: Settings) -> str:
    if settings.quota_mb is None:
        return "not who asked"
    return "the number of who asked first or imported it, whose quota it counts for"


def _logged(settings: Settings) -> str:
    if settings.log_prompts:
        return "Prompts and titles too, as whoever runs this server has set (HYPOGRAPH_LOG_PROMPTS)"
    return "No prompt, no text of yours, no mail address"


def own_use(service: Service) -> None:
    """Of the disk, where that is counted."""
    limit = service.settings.quota_mb
    if limit is None:
        return
    st.subheader("Your use of the disk")
    try:
        use, largest = service.use_of(me()), service.largest_of(me())
    except LabError as problem:
        st.error(sentence(problem))
        return
    st.markdown(
        f"**{use.total / 1e6:,.1f} MB** of {limit:,} MB: graphs {use.graphs / 1e6:,.1f} MB, records"
        f" {use.texts / 1e6:,.1f} MB. When that is full you can trace, import and run no more until you delete some"
        " in the Library; what you save is always taken."
    )
    st.caption(
        "Counted are the graphs that you were the first to ask for or imported (a graph is kept once, whoever looks at"
        " it), and all versions of the records that you wrote and nobody deleted, with the figures of your runs."
    )
    if largest:
        rows = [{"graph": str(entry.meta.get("prompt", "")), "MB": round(entry.size / 1e6, 2)} for entry in largest]
        st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", alt="your largest graphs")


def own_words() -> None:
    person = me()
    count = get_lab().count_of(person)
    st.subheader("Yours")
    st.markdown(
        f"You are here as **{plain(person.name)}**, {person.role}, and own {count:,} record{'s' * (count != 1)}."
        " Whoever runs this server can erase one of them, or you with all that you wrote, for good:"
    )
    st.code(f"make purge PERSON={person.id}", language=None, wrap_lines=True)
    st.caption("On a server that is set up as deploy/GUIDE.md says, the command that stands there.")


def _identity() -> str:
    by_provider = "name, the provider's address and its number for you; in a cookie for 30 days, until you log out"
    return {
        "provider": by_provider,
        "proxy": "the name that the proxy gives",
        "local": "the name of this machine's user",
    }[way()]

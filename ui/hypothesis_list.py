"""The notebook: all hypotheses with what became of them, corrected over one another."""

from collections.abc import Sequence

import streamlit as st

from lab import HypothesisBody
from lab.in_words import kind_name
from lab.runs.notebook import Entry, Row, entries, rows
from service import JobView, Service
from ui.hypothesis_examples import worked_examples
from ui.hypothesis_go import go, said
from ui.hypothesis_look import job_of, running, state_badge, state_of, verdict_badge, when
from ui.hypothesis_results import result_of
from ui.library_search import matches, words_of
from ui.session import get_lab, me
from ui.sidebar import plain, sentence

MANY = 8
"""From this many on there are a search and a filter."""

A_PAGE = 25
WIDTHS = [5, 1.8, 3, 2.4, 1.2, 1.5, 3]
P_HELP = (
    "Of the run that counts: how often matched controls do as much (specificity), or of the equivalence test where"
    " the claim is that nothing is there."
)
CORRECTED_HELP = (
    "After the correction that each record names, over the p values that decide the confirmatory and complete runs of"
    " this notebook, as far as you may see them. Deleted claims count too: what was tested stays tested. Exploratory"
    " runs are neither corrected nor counted."
)
HEADS: list[tuple[str, str | None]] = [
    ("hypothesis", None),
    ("kind", None),
    ("status", None),
    ("verdict", "Of the latest run that is complete: one of the first frozen version, if there is one."),
    ("p", P_HELP),
    ("corrected", CORRECTED_HELP),
    ("by", None),
]
STYLE = """<style>
[class*="st-key-open_"] button, [class*="st-key-open_"] button p {font-weight: 600; font-size: 1rem; text-align: left}
[class*="st-key-hypothesis_row_"] [data-testid="stHorizontalBlock"] {gap: 0.75rem}
@media (max-width: 640px) {
  .st-key-hypothesis_head {display: none}
  [class*="st-key-hypothesis_row_"] [data-testid="stHorizontalBlock"] {gap: 0 0.75rem}
  [class*="st-key-hypothesis_row_"] [data-testid="stColumn"] {min-width: fit-content; flex: 0 0 auto}
  [class*="st-key-hypothesis_row_"] [data-testid="stColumn"]:first-child {min-width: 100%}
}
</style>"""


def hypotheses(service: Service) -> None:
    troubles: list[str] = []
    shown = entries(get_lab(), me(), troubles)
    gone = entries(get_lab(), me(), troubles, deleted=True)
    st.html(STYLE)
    bar = st.container(horizontal=True, vertical_alignment="center")
    bar.button("Write a hypothesis", type="primary", icon=":material/add:", on_click=go, kwargs={"write": "new"})
    for trouble in troubles:
        st.error(sentence(trouble), icon=":material/warning:")
    _undo()
    if not shown:
        st.info(
            "No hypotheses yet. Pin a circuit on the Graph page or save a run on the Steer page and make it one, or"
            " begin here with **Write a hypothesis**: what is claimed, what is done to the model, on which prompts, and"
            " what would count against it. Freeze it, then run it: the verdict comes with its controls."
        )
    else:
        _listed(service, rows(shown, gone, result_of))
    _deleted(gone)
    worked_examples()


def _listed(service: Service, every: Sequence[Row]) -> None:
    jobs = running(service)
    found = _filtered(every, jobs) if len(every) >= MANY else list(every)
    if not found:
        st.info("No hypothesis fits.")
        return
    pages = -(-len(found) // A_PAGE)
    page = st.session_state.get("hypothesis_page", 1)
    page = page if page <= pages else 1  # a filter has left fewer: st.pagination goes to the first too
    names = sorted({row.notebook or "" for row in found}, key=lambda name: (name == "", name.lower()))
    ordered = [row for name in names for row in found if (row.notebook or "") == name]
    here = ordered[(page - 1) * A_PAGE : page * A_PAGE]
    with st.container(key="hypothesis_head"):
        for place, (word, help) in zip(st.columns(WIDTHS), HEADS, strict=True):
            place.caption(word, help=help)
    for name in names:
        some = [row for row in here if (row.notebook or "") == name]
        if some:
            _notebook(name, some, jobs)
    if pages > 1:
        st.pagination(pages, key="hypothesis_page")
    if jobs:
        drawn = {run.id: row.entry.finished.get(run.id, 0) for row in here for run in row.entry.runs if run.id in jobs}
        _follow(service, drawn)


def _filtered(every: Sequence[Row], jobs: dict[str, JobView]) -> list[Row]:
    left, right = st.columns([3, 4], vertical_alignment="bottom")
    words = words_of(
        left.text_input(
            "Search",
            key="hypothesis_search",
            live="250ms",
            placeholder="title, claim, model, prompt, author, notebook",
            icon=":material/search:",
            autocomplete="off",
        )
    )
    states = {row.entry.record.id: {state_of(row, job_of(row.entry, jobs)), _decision(row)} for row in every}
    there = sorted({state for some in states.values() for state in some if state})
    chosen = right.pills("Only", there, selection_mode="multi", key="hypothesis_states")
    found = [row for row in every if matches(words, *_texts(row))]
    return [row for row in found if not chosen or states[row.entry.record.id] & set(chosen)]


def _texts(row: Row) -> list[str]:
    record = row.entry.record
    found = [row.notebook or "", record.owner.name, record.head.author, when(record.head.created)]
    for body in (record.head.body, _listed_version(row)[0]):
        found += [body.title, body.claim, body.notes, body.model, kind_name(body.kind)]
        found += [prompt.text for prompt in body.prompts]
    return found


def _decision(row: Row) -> str:
    return "" if row.result is None or row.result.verdict is None else row.result.verdict.decision


def _notebook(name: str, some: Sequence[Row], jobs: dict[str, JobView]) -> None:
    st.subheader(plain(name) if name else "In no notebook")
    with st.container(key=f"hypothesis_rows_{some[0].entry.record.id}", gap="xsmall"):
        for row in some:
            _row(row, job_of(row.entry, jobs))


def _listed_version(row: Row) -> tuple[HypothesisBody, int]:
    """What the row is about, with its number: the version of the run whose verdict it shows, else the latest."""
    head = row.entry.record.head
    if row.run is None:
        return head.body, head.number
    file = row.run.head.body.hypothesis
    return file.hypothesis, head.number if file.freeze is None else file.freeze.version  # a draft's runs: of the latest


def _row(row: Row, job: JobView | None) -> None:
    record = row.entry.record
    (body, number), latest = _listed_version(row), record.head.number
    with st.container(key=f"hypothesis_row_{record.id}"):
        title, kind, state, verdict, p, corrected, who = st.columns(WIDTHS, vertical_alignment="center")
        title.button(
            plain(body.title),
            key=f"open_{record.id}",
            type="tertiary",
            wrap=True,
            on_click=go,
            kwargs={"hypothesis": record.id} | ({} if number == latest else {"version": str(number)}),
        )
        if number != latest:
            later = "frozen too" if row.entry.checked[-1].freeze.version == latest else "a draft"
            title.caption(f"Version {number}. There is a later one: version {latest}, {later}.")
        kind.markdown(kind_name(body.kind))
        state.markdown(state_badge(row, job))
        verdict.markdown(verdict_badge(row.result))
        p.markdown(p_words("p", row.p))
        corrected.markdown(p_words("corrected", row.corrected))
        private = " · private" if record.visibility == "private" else ""
        who.caption(f"{plain(record.head.author)}, {when(record.head.created)}{private}")
        if row.trouble is not None:
            st.error(sentence(row.trouble))


def p_words(name: str, p: float | None) -> str:
    """With its name, which a phone shows: there the columns have no heads."""
    return "" if p is None else f":small[:gray[{name}]] {p:.2g}"


@st.fragment(run_every=2.0)
def _follow(service: Service, drawn: dict[str, int]) -> None:
    """The list again when a prompt is finished, or a run is over. `drawn`: finished prompts by run."""
    now = get_lab().finished(list(drawn), me())
    if set(drawn) - set(running(service)) or any(now.get(run, 0) != n for run, n in drawn.items()):
        st.rerun()


def _undo() -> None:
    if problem := st.session_state.pop("hypothesis_problem", None):
        st.error(sentence(problem))
    if deleted := st.session_state.get("deleted_hypothesis"):
        text, undo = st.columns([5, 1], vertical_alignment="center")
        text.caption(f"Deleted: {plain(deleted[1][:90])}")
        undo.button("Undo", key="undo_hypothesis", width="stretch", on_click=said, args=(lambda: _restore(deleted[0]),))


def _deleted(gone: Sequence[Entry]) -> None:
    mine = [entry.record for entry in gone if entry.record.owner.id == me().id]
    if not mine:
        return
    with st.expander(f"Deleted by you: {len(mine)}"):
        for record in mine:
            text, button = st.columns([5, 1], vertical_alignment="center")
            text.markdown(plain(record.head.body.title))
            button.button(
                "Restore",
                key=f"restore_{record.id}",
                width="stretch",
                on_click=said,
                args=(lambda id=record.id: _restore(id),),
            )


def _restore(id: str) -> None:
    get_lab().undelete(id, me())
    if st.session_state.get("deleted_hypothesis", ("",))[0] == id:
        del st.session_state["deleted_hypothesis"]

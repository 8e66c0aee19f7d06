"""One hypothesis: what it says, its versions, freezing it, running it, and the evidence."""

import streamlit as st

from lab import LabError
from lab.freeze import write
from lab.in_words import kind_name
from service import Service
from ui.hypothesis_claim import claim
from ui.hypothesis_comments import comments
from ui.hypothesis_evidence import evidence_of
from ui.hypothesis_freeze import freeze_button, freeze_line
from ui.hypothesis_go import STEP_BACK, go, said
from ui.hypothesis_look import DRAFT, FROZEN, TAMPERED, running, when
from ui.hypothesis_opened import Opened, open_version
from ui.hypothesis_run import Estimate, run_bar
from ui.hypothesis_versions import versions
from ui.session import get_lab, me
from ui.sidebar import plain, sentence
from ui.who_sees import who_sees
from ui.wizard_draft import Writing, of_body
from ui.wizard_sources import begin_from


def hypothesis(service: Service, id: str) -> None:
    """`id`: of the record, as the address has it; `version` may be there too."""
    st.button(STEP_BACK, key="to_hypotheses", type="tertiary", icon=":material/arrow_back:", on_click=go)
    asked = st.query_params.get("version", "")
    try:
        opened = open_version(id, int(asked) if asked.isdecimal() and len(asked) < 10 else None)
    except LabError as problem:
        st.error(f"The hypothesis of this link can't be opened: {plain(str(problem))}.")
        _what_is_left(id)
        return
    _head(opened)
    with st.container():
        for fault in opened.faults:
            st.error(f"Tampered with: {plain(fault)}.", icon=":material/warning:")
        if said_no := st.session_state.pop("hypothesis_problem", None):
            st.error(sentence(said_no))
    if opened.record.deleted is not None:
        st.warning("This hypothesis was deleted. It stays as it was, and its tested claims count in their notebook.")
        st.button("Restore", key="restore_here", on_click=said, args=(lambda: get_lab().undelete(id, me()),))
        return
    estimate = _buttons(service, opened)
    st.subheader("Evidence")
    under_way = opened.runs and opened.runs[0].id in running(service)
    st.fragment(evidence_of, run_every=5.0 if under_way else None)(opened)
    st.subheader("What it claims, and how it is decided")
    claim(opened.file)
    st.subheader("Versions")
    versions(opened)
    comments(opened)
    if estimate is not None:
        estimate()


def _head(opened: Opened) -> None:
    body, record = opened.body, opened.record
    st.header(plain(body.title))
    checked = opened.checked.get(opened.number)
    state = DRAFT if checked is None else TAMPERED if checked.fault is not None else FROZEN
    exploratory = ""
    if checked is not None and checked.freeze.previous is not None:
        exploratory = " :orange-badge[:material/science: exploratory: changes a frozen version]"
    st.markdown(f"{state} :gray-badge[{kind_name(body.kind)}]{exploratory}")
    st.text(body.claim)
    notebook = f"notebook {plain(body.notebook)}" if body.notebook else "in no notebook"
    of = "" if opened.is_latest else f" of {record.head.number}"
    mine = next(revision for revision in opened.history if revision.number == opened.number)
    seen = "seen by its owner alone" if record.visibility == "private" else "seen by the whole lab"
    st.caption(
        f"Version {opened.number}{of} by {plain(mine.author)}, {when(mine.created)} · {notebook} · belongs to"
        f" {plain(record.owner.name)}, {seen}"
    )
    if checked is not None:
        freeze_line(checked)
    if not opened.is_latest:
        st.button(
            f"Open the latest version, {record.head.number}",
            key="latest",
            on_click=go,
            kwargs={"hypothesis": record.id},
        )


def _what_is_left(id: str) -> None:
    """Of a record whose text can't be read: what was frozen."""
    try:
        for checked in get_lab().check_freezes(id, me()):
            if checked.fault is not None:
                st.error(f"Tampered with: {plain(checked.fault)}.", icon=":material/warning:")
            freeze_line(checked)
    except LabError:
        return


def _buttons(service: Service, opened: Opened) -> Estimate | None:
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    estimate = run_bar(service, opened, row)
    with row:
        freeze_button(service, opened)
    row.button(
        "Edit the draft" if opened.is_latest and opened.number not in opened.checked else "Write the next version",
        key="next_version",
        icon=":material/edit:",
        help="What is frozen stays as it is; a change is a new version, and its runs are exploratory.",
        on_click=go,
        kwargs={"write": opened.id},
    )
    row.download_button(
        "YAML",
        write(opened.file),
        f"{opened.id}-{opened.number}.yaml",
        "application/yaml",
        key="yaml",
        icon=":material/download:",
        on_click="ignore",
        help="The canonical text with its hash, for `python -m tracer verify` and `test`.",
    )
    with row.popover("More"):
        _more(opened)
    return estimate


def _more(opened: Opened) -> None:
    record = opened.record
    st.caption("This link opens the hypothesis.")
    st.code(f"{st.context.url}?hypothesis={record.id}", language=None, wrap_lines=True)
    who_sees(record, said, "Their runs and comments follow.")
    if st.button(
        "Write another from this",
        key="copy",
        help="The form, filled in with this version, for a hypothesis of its own: this one stays as it is.",
    ):
        begin_from(lambda model: _copy(opened))
    st.button(
        "Delete the hypothesis",
        key="delete_hypothesis",
        disabled=record.owner.id != me().id,
        help="It can be restored. Once it was tested it still counts in its notebook.",
        on_click=said,
        args=(lambda: _delete(opened),),
    )


def _copy(opened: Opened) -> Writing:
    """Of the version that is open, to be seen by those who see that."""
    found = of_body(opened.body, f"copy of {opened.id} {opened.number}")
    found.graph, found.visibility = opened.record.about.graph, opened.record.visibility
    return found


def _delete(opened: Opened) -> None:
    get_lab().delete(opened.id, me())
    st.session_state["deleted_hypothesis"] = (opened.id, opened.body.title)
    go()

"""The circuit below the graph: its title, pinned nodes, notes; undo, save, versions, link, delete."""

from collections.abc import Callable
from typing import Any

import streamlit as st
from pydantic import ValidationError

from lab import CircuitBody, Lab, LabError, Revision
from tracer import Graph, TracerError
from tracer.errors import first_fault
from ui.circuit_draft import Draft
from ui.foreign_link import bring_in
from ui.node_words import short_name
from ui.selection import Selection
from ui.session import get_lab, me
from ui.sidebar import plain
from ui.slot import shows
from ui.steer_draft import take_circuit
from ui.who_sees import who_sees
from ui.wizard_sources import begin_from, of_circuit

START = 12  # features that a circuit may begin with


def circuit_panel(graph: Graph, draft: Draft, selection: Selection, thresholds: tuple[float, float]) -> None:
    """Runs inside the explorer's fragment: each button's callback changes the draft before the canvas is drawn."""
    _header(draft)
    # What comes and goes has a place of its own: else Streamlit shows what follows it twice for a moment.
    with st.container():
        if draft.theirs is not None:
            _conflict(draft)
    title, notes = f"circuit_title_{draft.graph[:12]}", f"circuit_notes_{draft.graph[:12]}"
    shows(title, draft.body.title)
    shows(notes, draft.body.notes)
    st.text_input("Title", draft.body.title, key=title, on_change=_typed, args=(draft, "title", title), max_chars=300)
    with st.container():
        _pins(graph, draft, selection)
    st.text_area(
        "Notes",
        draft.body.notes,
        key=notes,
        on_change=_typed,
        args=(draft, "notes", notes),
        height=80,
        max_chars=20_000,
    )
    _buttons(graph, draft, selection, thresholds)
    if draft.record is not None:
        _versions(draft)


def _header(draft: Draft) -> None:
    if draft.changed:
        state = ":orange-badge[not saved]"
    elif draft.record is not None:
        state = f":green-badge[saved, version {draft.base}]"
    else:
        state = ""
    st.markdown(
        f"**Circuit** {state}",
        help="Pinned nodes, groups and notes. Saved circuits are seen by the whole lab, unless you choose otherwise.",
    )


def _pins(graph: Graph, draft: Draft, selection: Selection) -> None:
    if not draft.body.pins:
        st.caption("Nothing pinned yet: select a node and press **Pin**, or start with the strongest.")
        st.button(
            f"Pin the {START} most influential features",
            key="pin_strongest",
            help="And the first target. Each can be taken out again; undo takes out all.",
            on_click=said,
            args=(lambda: draft.bring_in(_strongest(graph), []),),
        )
        return
    known = {id: short_name(graph, graph.index[id]) for id in draft.body.pins if id in graph.index}
    lost = len(draft.body.pins) - len(known)
    key = f"pins_{draft.graph[:12]}_{selection.nonce}_{hash(draft.body.pins)}"
    chosen = st.pills("Pinned", list(known), format_func=lambda id: known[id], key=key, help="Click one to select it.")
    if chosen is not None:
        selection.choose(chosen)
        st.rerun(scope="fragment")
    if lost:
        st.caption(f"{lost} pinned nodes are not in this graph.")


def _strongest(graph: Graph) -> list[str]:
    layout = graph.layout
    order = graph.influence[: layout.n_features].argsort(kind="stable")[::-1][:START]
    return [*(graph.ids[int(i)] for i in order), graph.ids[layout.first_logit]]


def _buttons(graph: Graph, draft: Draft, selection: Selection, thresholds: tuple[float, float]) -> None:
    row = st.container(horizontal=True, gap="small")
    row.button(
        "Save",
        key="circuit_save",
        type="primary",
        disabled=not draft.changed or draft.theirs is not None,
        on_click=said,
        args=(lambda: _save(draft, selection, thresholds),),
    )
    row.button("↶", key="circuit_undo", help="Undo", disabled=not draft.past, on_click=draft.undo)
    row.button("↷", key="circuit_redo", help="Redo", disabled=not draft.undone, on_click=draft.redo)
    features = graph.layout.n_features
    if row.button(
        "Steer",
        key="circuit_steer",
        help="Set these features to values, and see what the model says then.",
        disabled=not any(graph.index.get(id, features) < features for id in draft.body.pins),
    ):
        take_circuit(draft.graph, graph, draft)
        st.switch_page("pages/steer.py", query_params={"graph": draft.graph})
    if row.button(
        "Make this a hypothesis",
        key="circuit_hypothesis",
        help="A claim about these features, decided with controls on other prompts.",
        disabled=not any(graph.index.get(id, features) < features for id in draft.body.pins),
    ):
        begin_from(lambda model: of_circuit(draft.graph, graph, draft, model))
    with row.popover("More"):
        if draft.record is not None:
            st.caption("This link opens the circuit with its graph, thresholds and selection.")
            st.code(f"{st.context.url}?circuit={draft.record}", language=None, wrap_lines=True)
            _who_sees(draft)
            st.button("Delete the circuit", key="circuit_delete", on_click=said, args=(lambda: _delete(draft),))
        key = f"link_{draft.graph[:12]}"
        st.text_input(
            "Bring in a link of Neuronpedia",
            key=key,
            placeholder="https://www.neuronpedia.org/…/graph?…",
            help="Its pins, groups, labels and thresholds, as far as this graph has those nodes. Nothing is fetched.",
            on_change=said,
            args=(lambda: bring_in(graph, draft, key),),
        )
    with st.container():
        if deleted := st.session_state.get("deleted_circuit"):
            st.button(
                f"Undo: bring back “{deleted[1][:40]}”",
                key="circuit_undelete",
                on_click=said,
                args=(lambda: _undelete(draft, deleted[0]),),
            )
        if problem := st.session_state.pop("circuit_problem", None):
            st.error(plain(problem))
        if news := st.session_state.pop("circuit_news", None):
            st.info(plain(news))


def _who_sees(draft: Draft) -> None:
    """Only the owner may change it; the record refuses others."""
    try:
        seen = get_lab().get(draft.record or "", me())
    except LabError as problem:
        st.caption(plain(str(problem)))
        return
    who_sees(seen, said)


def _conflict(draft: Draft) -> None:
    theirs = draft.theirs
    assert theirs is not None
    st.warning(
        f"{plain(theirs.author)} saved version {theirs.number} of this circuit in the meantime. Nothing is lost: yours"
        " is here, theirs is in the versions. Which one goes on?"
    )
    mine, other = st.columns(2)
    for column, name, body in ((mine, "Yours", draft.body), (other, "Theirs", theirs.body)):
        column.markdown(f"**{name}**")
        column.text(f"{body.title}\n{len(body.pins)} pinned, {len(body.groups)} groups\n{body.notes[:200]}")
    mine.button(
        "Keep mine", key="keep_mine", on_click=said, args=(lambda: draft.keep_mine(get_lab(), me()),), width="stretch"
    )
    other.button("Take theirs", key="take_theirs", on_click=draft.take_theirs, width="stretch")


def _versions(draft: Draft) -> None:
    with st.expander("Versions", icon=":material/history:"):
        try:
            history: list[Revision[CircuitBody]] = get_lab().history(draft.record or "", me())
        except LabError as problem:
            st.error(plain(str(problem)))
            return
        for revision in history:
            what, restore = st.columns([4, 1], vertical_alignment="center")
            when = revision.created.astimezone().strftime("%d %b %Y, %H:%M")
            title, pinned = revision.body.title, len(revision.body.pins)
            what.text(f"{revision.number} · {when} · {revision.author}\n{title}, {pinned} pinned")
            restore.button(
                "Restore",
                key=f"restore_{revision.number}",
                disabled=revision.body == draft.body,
                on_click=said,
                args=(lambda number=revision.number: _restore(draft, number),),
            )


def _typed(draft: Draft, field: str, key: str) -> None:
    said(lambda: draft.set(**{field: st.session_state[key]}))


def _save(draft: Draft, selection: Selection, thresholds: tuple[float, float]) -> None:
    """With the view as it is. A second click before the button is off saves nothing again."""
    if not draft.changed:
        return
    view: dict[str, Any] = {"node_threshold": thresholds[0], "edge_threshold": thresholds[1], "selection": selection.id}
    draft.body = CircuitBody.model_validate(draft.body.model_dump() | view)
    draft.save(get_lab(), me())


def _restore(draft: Draft, number: int) -> None:
    """Into the draft, and saved as a new version."""
    draft.take(get_lab().restore(draft.record or "", number, me(), draft.base))


def _delete(draft: Draft) -> None:
    get_lab().delete(draft.record or "", me())
    st.session_state["deleted_circuit"] = (draft.record, draft.body.title)
    draft.record, draft.base, draft.saved = None, 0, None


def _undelete(draft: Draft, record: str) -> None:
    lab: Lab = get_lab()
    lab.undelete(record, me())
    st.session_state.pop("deleted_circuit")
    draft.record, head = record, lab.get(record, me()).head
    draft.base, draft.saved = head.number, head.body


def said(work: Callable[[], object]) -> None:
    """Run a callback; what is wrong is shown where the buttons are."""
    try:
        work()
    except ValidationError as problem:
        st.session_state["circuit_problem"] = first_fault(problem)
    except (LabError, TracerError) as problem:
        st.session_state["circuit_problem"] = str(problem)

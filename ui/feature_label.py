"""What the lab calls a feature: shown and changed in the card, drawn on the canvas.

A feature of a known basis has one label for all graphs; any other node has one in its graph alone.
"""

import streamlit as st
from pydantic import ValidationError

from lab import About, Conflict, LabelBody, LabError, Record
from tracer import Graph
from tracer.errors import first_fault
from ui.node_words import FEATURE
from ui.session import get_lab, me
from ui.sidebar import plain
from ui.slot import shows


def labels_of(key: str, graph: Graph) -> dict[str, str]:
    """Node id → label: those of its features, and above them those of this graph."""
    lab, viewer, layout = get_lab(), me(), graph.layout
    model, basis = graph.meta["model_fingerprint"], graph.meta.get("basis_fingerprint")
    found = {}
    if basis is not None:  # an imported graph's is unknown
        everywhere = reversed(lab.find("label", viewer, About(model=model, basis=basis)))
        by_feature = {(r.about.layer, r.about.feature): r.head.body.text for r in everywhere}
        for node in range(layout.n_features if by_feature else 0):
            text = by_feature.get((int(layout.layer[node]), int(layout.feature[node])))
            if text is not None:
                found[graph.ids[node]] = text
    for record in reversed(lab.find("label", viewer, About(graph=key))):
        if record.about.node in graph.index:
            found[record.about.node] = record.head.body.text
    return found


def label_field(key: str, graph: Graph, node: int) -> None:
    """A text field with the label, who wrote it, and when."""
    about = _about(key, graph, node)
    known: list[Record[LabelBody]] = get_lab().find("label", me(), about)
    record = known[0] if known else None
    field = f"label_{graph.ids[node]}"
    text = "" if record is None else record.head.body.text
    shows(field, text)
    everywhere = about.feature is not None
    st.text_input(
        "Label",
        text,
        key=field,
        placeholder="what this feature stands for" if everywhere else "what this node stands for here",
        max_chars=300,
        help="Of this feature in all graphs, for the whole lab. Empty it to take it away."
        if everywhere
        else "Of this node, in this graph. Empty it to take it away.",
        on_change=_typed,
        args=(about, None if record is None else record.id, 0 if record is None else record.head.number, field),
    )
    if record is not None:
        when = record.head.created.astimezone().strftime("%d %b %Y, %H:%M")
        st.caption(f"by {plain(record.head.author)}, {when}")
    with st.container():
        _earlier(about, record)
    if problem := st.session_state.pop("label_problem", None):
        st.error(plain(problem))


def _earlier(about: About, record: Record[LabelBody] | None) -> None:
    """Undo of this tab's last change, and the versions before."""
    changed = st.session_state.get("label_undo")
    if changed is not None and changed[0] == about:
        before = changed[1]
        word = f"↶ back to “{plain(before[:60])}”" if before else "↶ take it away again"
        st.button(word, key="label_undo_button", type="tertiary", on_click=_undo)
    if record is not None and record.head.number > 1:
        with st.popover("Versions", icon=":material/history:"):
            for revision in get_lab().history(record.id, me()):
                when = revision.created.astimezone().strftime("%d %b %Y, %H:%M")
                what, restore = st.columns([4, 1.4], vertical_alignment="center")
                what.text(f"{revision.number} · {when} · {revision.author}\n{revision.body.text}")
                restore.button(
                    "Restore",
                    key=f"restore_label_{revision.number}",
                    disabled=revision.body == record.head.body,
                    on_click=_write,
                    args=(about, record.id, record.head.number, revision.body.text),
                )


def _about(key: str, graph: Graph, node: int) -> About:
    basis = graph.meta.get("basis_fingerprint")
    if graph.layout.kind[node] != FEATURE or basis is None:
        return About(graph=key, node=graph.ids[node])
    return About(
        model=graph.meta["model_fingerprint"],
        basis=basis,
        layer=int(graph.layout.layer[node]),
        feature=int(graph.layout.feature[node]),
    )


def _typed(about: About, record: str | None, base: int, field: str) -> None:
    _write(about, record, base, st.session_state[field].strip())


def _undo() -> None:
    about, before, deleted = st.session_state["label_undo"]
    known: list[Record[LabelBody]] = get_lab().find("label", me(), about)
    if known:
        _write(about, known[0].id, known[0].head.number, before)
    elif deleted is not None:  # with its versions
        try:
            get_lab().undelete(deleted, me())
            st.session_state["label_undo"] = (about, "", None)
        except LabError as problem:
            st.session_state["label_problem"] = str(problem)
    else:
        _write(about, None, 0, before)


def _write(about: About, record: str | None, base: int, text: str) -> None:
    """Change, make or (empty) take away a label; what it was stays for undo. What is wrong is shown in the card."""
    lab = get_lab()
    try:
        before = "" if record is None else lab.get(record, me()).head.body.text
        if not text:
            if record is not None:
                lab.delete(record, me())
        elif record is None:
            lab.create(me(), about, LabelBody(text=text))
        else:
            lab.save(record, me(), LabelBody(text=text), base)
        if text != before:
            st.session_state["label_undo"] = (about, before, None if text else record)
    except Conflict as conflict:
        st.session_state["label_problem"] = (
            f"{conflict.theirs.author} called it “{conflict.theirs.body.text}” in the meantime; yours was “{text}”."
            " Type it again to put it in place of theirs."
        )
    except ValidationError as problem:
        st.session_state["label_problem"] = first_fault(problem)
    except LabError as problem:
        st.session_state["label_problem"] = str(problem)

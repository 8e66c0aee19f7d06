"""The circuit and what is done to it: which supernodes are set to what, which mediate, the protocol."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from lab import LabError
from service import Service
from tracer import ReplacementModel, TracerError
from tracer.dashboards import store
from tracer.steering.edits import LARGEST
from ui.graph_canvas import pretty_token
from ui.protocol_field import protocol_field
from ui.sidebar import sentence
from ui.steer_rows import FIRST, UNITS
from ui.wizard_draft import Node, Piece, Writing, doses
from ui.wizard_sources import add_second, saved_circuits
from ui.wizard_table import MOST_ROWS, ROW, editor

UNIT_OF = {words: unit for unit, words in UNITS.items()}
SHOWN = 6  # features of a supernode, in its row


def edit(service: Service, model: ReplacementModel, writing: Writing) -> None:
    tag = f"{writing.id}_{writing.revision}"
    with st.container():
        if writing.kind == "equivalence":
            _second(service, model, writing, tag)
        elif writing.kind == "mediation":
            _mediators(writing, tag)
    pieces = [*writing.part("circuit"), *writing.part("second")]
    fill_maxima(service, model, pieces)
    editor(
        "wizard_edit",
        writing,
        (writing.kind, tuple(piece.name for piece in writing.part("mediators")), len(pieces)),
        lambda: frame(pieces, model),
        lambda table: take(pieces, table),
        column_config={
            "set": st.column_config.CheckboxColumn(width=45, help="Else it is looked at, never set."),
            "supernode": st.column_config.TextColumn(max_chars=300),
            "unit": st.column_config.SelectboxColumn(options=list(UNIT_OF), required=True, width=110),
            "to": st.column_config.NumberColumn(
                width=60, min_value=-LARGEST, max_value=LARGEST, required=True, help="The primary dose: it decides."
            ),
            "other doses": st.column_config.TextColumn(
                width=115, help="For dose and response, run without controls: as many for each supernode."
            ),
        },
        disabled=["circuit", "features"],
        height="content" if len(pieces) <= MOST_ROWS else ROW * (MOST_ROWS + 1) + 2,
    )
    with st.container():
        now = writing.protocol, writing.layers
        writing.protocol, writing.layers = protocol_field(model, now, "wizard", tag)


def frame(pieces: list[Piece], model: ReplacementModel) -> pd.DataFrame:
    """A row a supernode. Those of the second circuit say so."""
    table = pd.DataFrame(
        {
            "set": [piece.on for piece in pieces],
            "supernode": [piece.name for piece in pieces],
            "unit": [UNITS[piece.unit] for piece in pieces],
            "to": [float(piece.amount) for piece in pieces],
            "other doses": [piece.others for piece in pieces],
            "features": [_features(piece, model) for piece in pieces],
        }
    )
    if all(len(piece.nodes) == 1 and told in piece.name for piece, told in zip(pieces, table["features"], strict=True)):
        table = table.drop(columns="features")  # each is called what it is
    if any(piece.second for piece in pieces):
        table.insert(0, "circuit", ["second" if piece.second else "first" for piece in pieces])
    return table


def take(pieces: list[Piece], table: pd.DataFrame) -> bool:
    """True where more has changed than was typed: an amount of one unit is none of another, and doses go with it."""
    more = False
    for piece, row in zip(pieces, table.to_dict("records"), strict=True):
        unit, amount, others = UNIT_OF[row["unit"]], float(row["to"]), str(row["other doses"] or "")
        if unit != piece.unit:
            amount, others, more = FIRST.get(unit, 0.0), "", True
        elif amount != piece.amount and others == doses(piece.unit, piece.amount):
            others = ""
        if not others and piece.others:
            others, more = doses(unit, amount), True
        piece.on, piece.name = bool(row["set"]), str(row["supernode"] or "")
        piece.unit, piece.amount, piece.others = unit, amount, others
    return more


def fill_maxima(service: Service, model: ReplacementModel, pieces: list[Piece]) -> None:
    """Of features that are set in units of their largest activation in the corpus, as far as it is known by now."""
    folder = service.settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    for piece in (piece for piece in pieces if piece.unit == "maximum"):
        nodes = []
        for node in piece.nodes:
            board = None if node.maximum is not None else store.read(folder, node.layer, node.feature)
            known = board.top[0].value if board is not None and board.top else 0.0
            nodes.append(replace(node, maximum=known) if known > 0 else node)
        piece.nodes = tuple(nodes)


def _features(piece: Piece, model: ReplacementModel) -> str:
    """With the tokens at which they were found, or where they are looked for."""
    try:
        tokens = [pretty_token(model.token_text(id)) for id in model.token_ids(piece.found_on)]
    except TracerError:
        tokens = []

    def at(node: Node) -> str:
        if node.position is not None and node.position < len(tokens):
            return f"{tokens[node.position]} ({node.position})"
        return str(node.at)

    said = [f"L{node.layer} · {node.feature} @ {at(node)}" for node in piece.nodes[:SHOWN]]
    more = f"; and {len(piece.nodes) - SHOWN} more" if len(piece.nodes) > SHOWN else ""
    return "; ".join(said) + more


def _mediators(writing: Writing, tag: str) -> None:
    """A supernode mediates or is set: never both."""
    first = [piece for piece in writing.pieces if not piece.second]
    key = f"wizard_mediators_{tag}_{len(first)}"

    def obey() -> None:
        for at, piece in enumerate(first):
            if piece.mediates != (at in st.session_state[key]):
                piece.mediates = not piece.mediates
                piece.on = not piece.mediates

    st.multiselect(
        "Mediators",
        range(len(first)),
        default=[at for at, piece in enumerate(first) if piece.mediates],
        format_func=lambda at: first[at].name,
        key=key,
        on_change=obey,
        placeholder="supernodes through which the effect goes",
        help="Held at what they are without the edit. They must lie above the lowest layer that is set.",
    )


def _second(service: Service, model: ReplacementModel, writing: Writing, tag: str) -> None:
    circuits = {record.id: record.head.body for record in saved_circuits(service)}
    if not circuits:
        st.info("The second circuit is a saved one: save another circuit on the Graph page.")
        return
    chosen = st.selectbox(
        "Second circuit",
        list(circuits),
        index=None,
        key=f"wizard_second_{tag}",
        placeholder="a saved circuit",
        format_func=lambda id: circuits[id].title,
        help="It is set as the first is. Its prompt goes to discovery too.",
    )
    if chosen is not None and chosen != writing.typed.get("second"):
        writing.typed["second"] = chosen
        try:
            add_second(service, model, writing, chosen)
        except LabError as problem:
            st.error(sentence(problem))
            return
        st.rerun()

"""Where each feature of the circuit is looked for on the prompts: told by itself, and changed by hand where need be."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from lab import HypothesisBody, TokenPlace
from lab.claim import CircuitNode
from tracer.errors import first_fault
from ui.sidebar import sentence
from ui.wizard_draft import Piece, Writing
from ui.wizard_table import MOST_ROWS, ROW, editor

Placed = tuple[Piece, int, CircuitNode]
"""A feature: the number of it in its piece, and as the record has it."""


def nodes(writing: Writing, body: HypothesisBody) -> None:
    placed = [
        (piece, at, node)
        for name, part in (("circuit", body.circuit), ("second", body.second_circuit), ("mediators", body.mediators))
        for piece, supernode in zip(writing.part(name), part, strict=True)
        for at, node in enumerate(supernode.nodes)
    ]

    def take(table: pd.DataFrame) -> bool:
        if fault := take_places(placed, table):
            st.error(sentence(fault))
        return False

    st.caption(
        "Each feature is set and read at one token of every prompt: of a slot, or of the whole prompt where the slot is"
        " empty. 0 is the first, −1 the last."
    )
    editor(
        "wizard_nodes",
        writing,
        tuple((piece.name, str(node)) for piece, _, node in placed),
        lambda: frame(placed),
        take,
        disabled=["supernode", "layer", "feature"],
        column_config={"token": st.column_config.NumberColumn(step=1, required=True)},
        height="content" if len(placed) <= MOST_ROWS else ROW * (MOST_ROWS + 1) + 2,
    )


def frame(placed: Sequence[Placed]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "supernode": [piece.name for piece, _, _ in placed],
            "layer": [node.layer for _, _, node in placed],
            "feature": [node.feature for _, _, node in placed],
            "slot": pd.Series([node.at.slot for _, _, node in placed], dtype="string"),
            "token": [node.at.token for _, _, node in placed],
        }
    )


def take_places(placed: Sequence[Placed], table: pd.DataFrame) -> str | None:
    """Those that were changed stay as they were put. Says what is wrong with one, which is then as it was."""
    for (piece, at, node), row in zip(placed, table.to_dict("records"), strict=True):
        slot = None if pd.isna(row["slot"]) or not row["slot"] else str(row["slot"])
        if (slot, row["token"]) == (node.at.slot, node.at.token):
            continue
        try:
            place = TokenPlace(slot=slot, token=int(row["token"]))
        except ValidationError as problem:
            return f"{piece.name}: {first_fault(problem)}; correct it"
        changed = replace(piece.nodes[at], position=None, at=place)
        piece.nodes = (*piece.nodes[:at], changed, *piece.nodes[at + 1 :])
    return None

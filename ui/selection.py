"""Which node is selected: one answer from the canvas, the tables, and the address (links, Back and Forward)."""

from collections.abc import Container
from dataclasses import dataclass, field

import streamlit as st

from ui.history import Replaced


@dataclass
class Selection:
    """Of one tab, for one graph."""

    graph: str
    id: str | None = None
    nonce: int = 0  # raised to make the canvas follow
    reported: str | None = None  # by the canvas, last
    address: str | None = None  # in the address, as last seen or written
    replaced: Replaced = field(default_factory=Replaced)  # addresses before our writes

    def choose(self, id: str | None) -> None:
        """Select from outside the canvas."""
        self.id = id
        self.nonce += 1
        self._write()

    def follow_address(self, known: Container[str]) -> None:
        """Obey a link, Back or Forward: an address that changed without us."""
        address = st.query_params.get("select")
        if address != self.address and not self.replaced.late(address):
            self.address = address
            self.id = address if address is not None and address in known else None
            self.nonce += 1

    def follow_canvas(self, reported: str | None, visible: Container[str]) -> None:
        """Obey a click. A selected node that is not drawn stays selected, as 'hidden at this threshold'."""
        if reported == self.reported:
            return
        self.reported = reported
        if reported is None and self.id is not None and self.id not in visible:
            return
        if reported != self.id:
            self.id = reported
            self._write()

    def _write(self) -> None:
        self.replaced.add(self.address)
        self.address = self.id
        if self.id is None:
            st.query_params.pop("select", None)
        else:
            st.query_params["select"] = self.id


def selection_of(graph: str) -> Selection:
    found = st.session_state.get("selection")
    if found is None or found.graph != graph:
        found = st.session_state["selection"] = Selection(graph)
    return found

"""What a tab is about to steer: a prompt, rows of features and supernodes with their amounts, a protocol, controls.

Kept in the session, so that it is there after another page was looked at; saved in the record as a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import streamlit as st

from lab import ControlsBody, SteeredNode, SteeredRow, SteeringBody
from tracer import GENERATED, Donor, Edit, Graph, ReplacementModel, TracerError
from tracer.graph.layout import KINDS
from ui.circuit_draft import Draft
from ui.node_words import short_name

_numbers = count()

START = -1.0  # × the own activation: turned around, as in the papers


@dataclass
class Steering:
    graph: str | None = None  # the key of the graph that it came from
    prompt: str = ""
    tokens: tuple[int, ...] = ()  # of the prompt as it stands
    made_for: str = ""  # fingerprints of model and features: tokens and feature numbers are theirs
    rows: list[SteeredRow] = field(default_factory=list)
    outcomes: list[SteeredRow] = field(default_factory=list)  # supernodes that are looked at, whether steered or not
    protocol: str = "clamp"
    layers: tuple[int, int] | None = None
    follow: int | None = None
    controls: ControlsBody = field(default_factory=lambda: ControlsBody(kind="features", n=20, seed=0))
    record: str | None = None
    circuit: str | None = None  # the record of the circuit that it was begun from, if that is saved
    id: int = field(default_factory=lambda: next(_numbers))  # in the keys of its fields, which are no other's
    revision: int = 0  # raised when the rows are others, so that their fields start anew
    former: list[list[SteeredRow]] = field(default_factory=list)  # the rows before each change

    def fits(self, model: ReplacementModel) -> bool:
        """Was it begun with this model and these features, and tokens that it has? A new one is, from now on."""
        now = f"{model.model_fingerprint} {model.basis_fingerprint}"
        if not self.rows and self.made_for != now:
            self.made_for, self.tokens = now, ()
        return self.made_for == now and max(self.tokens, default=0) < model.vocab_size

    def change(self, at: int, **fields: object) -> None:
        """Raises ValidationError for a number that is none."""
        self._become([*self.rows[:at], changed(self.rows[at], **fields), *self.rows[at + 1 :]])

    def add(self, row: SteeredRow) -> None:
        self._become([*self.rows, row])
        self.revision += 1

    def remove(self, at: int) -> None:
        self._become(self.rows[:at] + self.rows[at + 1 :])
        self.revision += 1

    def reset(self) -> None:
        """All amounts as they were at the start."""
        self._become([changed(row, unit="factor", amount=START, on=True) for row in self.rows])
        self.revision += 1

    def undo(self) -> None:
        """The rows as they were before the last change."""
        self.rows = self.former.pop()
        self.revision += 1

    def _become(self, rows: list[SteeredRow]) -> None:
        if rows != self.rows:
            self.former.append(self.rows)
        self.rows = rows

    def body(self, model: ReplacementModel, title: str, figures: dict[str, float]) -> SteeringBody:
        """Raises ValidationError for a title that is none."""
        return SteeringBody(
            title=title,
            prompt=self.prompt,
            tokens=self.tokens,
            model=model.name,
            features=model.basis.name,
            model_fingerprint=model.model_fingerprint,
            basis_fingerprint=model.basis_fingerprint,
            rows=tuple(self.rows),
            protocol=self.protocol,  # type: ignore[arg-type]
            layers=self.layers,
            follow=self.follow,
            controls=self.controls,
            figures=figures,
        )


def changed(row: SteeredRow, **fields: object) -> SteeredRow:
    """Raises ValidationError."""
    return SteeredRow.model_validate(row.model_dump() | fields)


def from_circuit(key: str, graph: Graph, draft: Draft) -> Steering:
    """A row for each group and for each single feature of a circuit. The first is on, so that there is an effect."""
    layout, groups = graph.layout, [(group.name, list(group.nodes)) for group in draft.body.groups]
    grouped = {node for _, nodes in groups for node in nodes}
    alone = [(id, [id]) for id in draft.body.pins if id not in grouped]
    rows = []
    for name, ids in groups + alone:
        places = [graph.index[id] for id in ids if id in graph.index]
        places = [place for place in places if KINDS[layout.kind[place]] == "feature"]
        if places:
            title = short_name(graph, places[0]) if (name, [name]) in alone else name
            rows.append(SteeredRow(name=_line(title), nodes=tuple(_node(graph, place) for place in places)))
    first = [changed(row, amount=START, on=i == 0) for i, row in enumerate(rows)]
    return Steering(
        graph=key,
        prompt=str(graph.meta.get("prompt", "")),
        tokens=tuple(graph.token_ids),
        made_for=f"{graph.meta['model_fingerprint']} {graph.meta.get('basis_fingerprint')}",
        rows=first,
        outcomes=rows,
        circuit=draft.record,
    )


def from_record(id: str, body: SteeringBody, graph: str | None) -> Steering:
    return Steering(
        graph=graph,
        prompt=body.prompt,
        tokens=body.tokens,
        made_for=f"{body.model_fingerprint} {body.basis_fingerprint}",
        rows=list(body.rows),
        protocol=body.protocol,
        layers=body.layers,
        follow=body.follow,
        controls=body.controls or ControlsBody(kind="features", n=0, seed=0),
        record=id,
    )


def steering() -> Steering:
    """This tab's."""
    return st.session_state.setdefault("steering", Steering())


def take_circuit(key: str, graph: Graph, draft: Draft) -> None:
    """What this tab steers from now on."""
    st.session_state["steering"] = from_circuit(key, graph, draft)


def edits_of(rows: Sequence[SteeredRow], maxima: dict[tuple[int, int], float]) -> list[Edit]:
    """Of the rows that are on. `maxima` of (layer, feature), where a row is in units of them.

    Raises TracerError where a maximum is not known, and where another prompt is asked for and not there.
    """
    found = []
    for row in (row for row in rows if row.on):
        for node in row.nodes:
            edit = Edit(node.layer, place_of(row, node), node.feature, factor=row.amount)
            if row.unit == "value":
                edit = replace(edit, factor=None, value=row.amount)
            elif row.unit == "donor":
                edit = replace(edit, donor=_donor(row, node))
            elif row.unit == "maximum" and (node.layer, node.feature) in maxima:
                edit = replace(edit, factor=None, plus=row.amount * maxima[node.layer, node.feature])
            elif row.unit == "maximum":
                raise TracerError(
                    f"the largest activation of layer {node.layer}, feature {node.feature} is not known yet: its"
                    " examples are still being collected; choose another unit"
                )
            found.append(edit)
    return found


def place_of(row: SteeredRow, node: SteeredNode) -> int | slice | str:
    """Where an edit of this feature of a row acts."""
    if row.where == "generated":
        return GENERATED
    if row.where == "last":
        return -1
    start = node.position if row.start is None else row.start
    if row.where == "onward":
        return slice(start, None)
    if row.where == "range" and row.end is not None:
        return slice(start, row.end + 1)
    return node.position


def places_of(row: SteeredRow, node: SteeredNode, n_tokens: int) -> list[int]:
    """Those of a prompt of so many tokens."""
    at = place_of(row, node)
    if isinstance(at, str):
        return []
    return list(range(n_tokens)[at]) if isinstance(at, slice) else [at % n_tokens]


def _donor(row: SteeredRow, node: SteeredNode) -> Donor:
    if row.donor is None:
        raise TracerError(f"{row.name}: type the other prompt that its activations are taken from")
    there = dict(row.donor.positions).get(node.position)
    if there is None:
        raise TracerError(f"{row.name}: say which token of the other prompt stands for position {node.position}")
    return Donor(row.donor.tokens, there)


def _node(graph: Graph, place: int) -> SteeredNode:
    layout = graph.layout
    return SteeredNode(
        layer=int(layout.layer[place]), position=int(layout.position[place]), feature=int(layout.feature[place])
    )


def _line(text: str) -> str:
    return (" ".join(text.split()) or "feature")[:300]

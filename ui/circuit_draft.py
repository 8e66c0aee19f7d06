"""The circuit that a tab works on: pins, groups, notes, with undo and redo, and whether it is saved.

Knows nothing of widgets. One draft a graph; saving and conflicts are the record's (lab).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import streamlit as st

from lab import About, CircuitBody, Conflict, Lab, Person, Record, Revision

MOST_UNDO = 200


@dataclass
class Draft:
    graph: str
    body: CircuitBody
    record: str | None = None  # its id, once saved
    base: int = 0  # the version that it was read from
    saved: CircuitBody | None = None
    theirs: Revision[CircuitBody] | None = None  # what somebody else saved in the meantime
    undone: list[CircuitBody] = field(default_factory=list)
    past: list[CircuitBody] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.body != self.saved and bool(self.body.pins or self.body.notes or self.record)

    def set(self, **fields: object) -> None:
        """One change, that can be undone. Raises ValidationError for what makes no circuit; nothing changes then."""
        body = CircuitBody.model_validate(self.body.model_dump() | fields)
        if body != self.body:
            self.past = [*self.past[-MOST_UNDO:], self.body]
            self.undone = []
            self.body = body

    def toggle(self, node: str) -> None:
        """Pin a node, or take it out, of its group too; a group without members goes."""
        pins = self.body.pins
        if node not in pins:
            self.set(pins=(*pins, node))
            return
        groups = [group.model_dump() | {"nodes": [n for n in group.nodes if n != node]} for group in self.body.groups]
        self.set(pins=[pin for pin in pins if pin != node], groups=[group for group in groups if group["nodes"]])

    def bring_in(self, pins: Sequence[str], groups: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Pins and groups (name, members) of a file or a link, as one change. A node of several stays in the first."""
        taken: set[str] = set()
        made = []
        for name, members in groups:
            made.append({"name": name.strip() or "group", "nodes": [node for node in members if node not in taken]})
            taken |= set(members)
        mine = [group.model_dump() for group in self.body.groups]
        for group in mine:
            group["nodes"] = [node for node in group["nodes"] if node not in taken]
        wanted = [*self.body.pins, *pins, *(node for _, members in groups for node in members)]
        self.set(pins=list(dict.fromkeys(wanted)), groups=[group for group in mine + made if group["nodes"]])

    def group(self, name: str, nodes: Collection[str]) -> None:
        """These pinned nodes under one name, out of the groups that they were in."""
        others = [
            group.model_dump() | {"nodes": [node for node in group.nodes if node not in nodes]}
            for group in self.body.groups
        ]
        members = [pin for pin in self.body.pins if pin in nodes]
        self.set(groups=[*(group for group in others if group["nodes"]), {"name": name, "nodes": members}])

    def join(self, nodes: Sequence[str], onto: str, name: str) -> None:
        """Nodes into the group that `onto` is in, else with it into a new one of that name; as one change."""
        home = next((group for group in self.body.groups if onto in group.nodes), None)
        if home is None:
            return self.bring_in([], [(name, [*nodes, onto])])
        nodes = [node for node in nodes if node not in home.nodes]
        groups = [group.model_dump() for group in self.body.groups]
        for group in groups:
            group["nodes"] = [node for node in group["nodes"] if node not in nodes]
            if onto in group["nodes"]:
                group["nodes"] += nodes
        pins = list(dict.fromkeys([*self.body.pins, *nodes]))
        self.set(pins=pins, groups=[group for group in groups if group["nodes"]])

    def rename(self, nodes: Sequence[str], name: str) -> None:
        """The group of just these nodes, if there is one (any more): a page may be behind."""
        groups = [group.model_dump() for group in self.body.groups]
        for group in groups:
            if tuple(group["nodes"]) == tuple(nodes):
                group["name"] = name
        self.set(groups=groups)

    def dissolve(self, nodes: Sequence[str]) -> None:
        """The same; its nodes stay pinned."""
        self.set(groups=[group.model_dump() for group in self.body.groups if group.nodes != tuple(nodes)])

    def undo(self) -> None:
        if self.past:
            self.undone.append(self.body)
            self.body = self.past.pop()

    def redo(self) -> None:
        if self.undone:
            self.past.append(self.body)
            self.body = self.undone.pop()

    def save(self, lab: Lab, author: Person) -> None:
        """A conflict is kept as `theirs`, beside ours. Raises LabError for anything else that is wrong."""
        if self.record is None:
            record = lab.create(author, About(graph=self.graph), self.body)
            self.record, self.base, self.saved = record.id, record.head.number, self.body
            return
        try:
            self.base = lab.save(self.record, author, self.body, self.base).number
        except Conflict as conflict:
            self.theirs = conflict.theirs
            return
        self.saved, self.theirs = self.body, None

    def keep_mine(self, lab: Lab, author: Person) -> None:
        """Ours on top of theirs, which stays in the history."""
        assert self.theirs is not None
        self.base, self.theirs = self.theirs.number, None
        self.save(lab, author)

    def take_theirs(self) -> None:
        """Ours stays behind undo."""
        assert self.theirs is not None
        self.take(self.theirs)
        self.theirs = None

    def take(self, revision: Revision[CircuitBody]) -> None:
        """A version from the record, as saved."""
        if revision.body != self.body:
            self.past.append(self.body)
        self.body = self.saved = revision.body
        self.base = revision.number


def draft_of(key: str, prompt: str) -> Draft:
    """This tab's draft of the graph `key`."""
    drafts = st.session_state.setdefault("drafts", {})
    if key not in drafts:
        drafts[key] = Draft(
            key, CircuitBody(title=(" ".join(prompt.split()) or "Circuit")[:80], prompt=prompt[:20_000])
        )
    return drafts[key]


def open_record(record: Record[CircuitBody]) -> Draft:
    """The draft of a saved circuit, in place of this tab's draft of its graph: an unsaved one stays behind undo."""
    drafts, head = st.session_state.setdefault("drafts", {}), record.head
    before = drafts.get(record.about.graph)
    if before is None or before.record != record.id:
        draft = Draft(record.about.graph or "", head.body, record.id, head.number, head.body)
        if before is not None and before.changed:
            draft.past = [before.body]
        drafts[draft.graph] = draft
    return drafts[record.about.graph]

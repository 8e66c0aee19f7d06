"""A draft: every change can be undone, and two people never overwrite each other silently."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from lab import CircuitBody, Group, Lab, Person
from ui.circuit_draft import Draft


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab
    lab.close()


def draft() -> Draft:
    return Draft("g" * 64, CircuitBody(title="Sports"))


def test_pins_toggle_and_each_step_can_be_undone_and_redone() -> None:
    one = draft()
    assert not one.changed  # nothing is in it yet
    for node in ("a", "b", "a"):
        one.toggle(node)
    assert one.body.pins == ("b",) and one.changed
    one.undo()
    assert one.body.pins == ("a", "b")
    one.undo()
    one.undo()
    one.undo()  # beyond the first: nothing happens
    assert one.body.pins == ()
    for _ in range(3):
        one.redo()
    assert one.body.pins == ("b",)
    one.undo()
    one.toggle("c")
    one.redo()  # a new change ends what was undone
    assert one.body.pins == ("a", "b", "c")


def test_a_node_that_is_unpinned_leaves_its_group_and_an_empty_group_goes() -> None:
    one = draft()
    groups = (Group(name="ball", nodes=("a", "b")), Group(name="say", nodes=("c",)))
    one.set(pins=("a", "b", "c"), groups=groups)
    one.toggle("b")
    one.toggle("c")
    assert one.body.groups == (Group(name="ball", nodes=("a",)),)


def test_groups_are_made_merged_renamed_and_dissolved() -> None:
    one = draft()
    one.set(pins=("a", "b", "c", "d"))
    one.group("ab", ["b", "a"])
    one.group("cd", ["c", "d"])
    one.group("all but d", ["a", "b", "c"])  # takes c out of its group, and empties the first
    assert one.body.groups == (Group(name="cd", nodes=("d",)), Group(name="all but d", nodes=("a", "b", "c")))
    one.rename(("a", "b", "c"), "abc")
    one.dissolve(("d",))
    assert one.body.groups == (Group(name="abc", nodes=("a", "b", "c")),) and len(one.body.pins) == 4
    for _ in range(5):
        one.undo()
    assert one.body.groups == ()
    with pytest.raises(ValidationError):
        one.group("nobody", ["not pinned"])


def test_a_page_that_is_behind_changes_no_other_group() -> None:
    """A field that undo takes away may still report its text."""
    one = draft()
    one.set(pins=("a", "b", "c"))
    one.group("ab", ["a", "b"])
    one.rename(("b", "c"), "other")
    one.dissolve(("a", "c"))
    assert one.body.groups == (Group(name="ab", nodes=("a", "b")),)


def test_a_change_that_makes_no_circuit_changes_nothing() -> None:
    one = draft()
    with pytest.raises(ValidationError):
        one.set(title=" ")
    assert one.body.title == "Sports" and not one.past


def test_saved_is_what_the_record_holds(lab: Lab, ada: Person) -> None:
    one = draft()
    one.toggle("a")
    one.save(lab, ada)
    assert not one.changed and one.base == 1
    one.toggle("b")
    assert one.changed
    one.save(lab, ada)
    assert one.base == 2 and one.record is not None
    assert lab.get(one.record, ada).head.body == one.body
    one.undo()
    assert one.changed  # undo is a change that is not saved yet


@pytest.mark.parametrize("mine", [True, False])
def test_of_two_who_edit_the_second_decides_and_both_versions_stay(
    lab: Lab, ada: Person, ben: Person, mine: bool
) -> None:
    one = draft()
    one.toggle("a")
    one.save(lab, ada)
    assert one.record is not None
    record = lab.get(one.record, ben)
    two = Draft(one.graph, record.head.body, record.id, record.head.number, record.head.body)
    one.toggle("b")
    one.save(lab, ada)
    two.toggle("c")
    two.save(lab, ben)
    assert two.theirs is not None and two.theirs.body.pins == ("a", "b") and two.changed
    if mine:
        two.keep_mine(lab, ben)
    else:
        two.take_theirs()
    assert two.theirs is None and not two.changed
    expected = [("a", "c"), ("a", "b"), ("a",)] if mine else [("a", "b"), ("a",)]
    assert [revision.body.pins for revision in lab.history(record.id, ben)] == expected
    if not mine:
        two.undo()
        assert two.body.pins == ("a", "c")  # what they gave up is still behind undo


def test_what_is_dropped_on_a_node_joins_its_group_or_makes_one() -> None:
    one = draft()
    one.join(["a"], "b", "first")
    assert one.body.pins == ("a", "b") and one.body.groups == (Group(name="first", nodes=("a", "b")),)
    one.join(["c", "d"], "e", "second")
    one.join(["d", "f"], "a", "unused")  # d leaves its group, f is new, the first group keeps its name
    assert one.body.groups == (Group(name="first", nodes=("a", "b", "d", "f")), Group(name="second", nodes=("c", "e")))
    assert set(one.body.pins) == set("abcdef")
    one.undo()
    assert one.body.groups == (Group(name="first", nodes=("a", "b")), Group(name="second", nodes=("c", "d", "e")))
    one.join(["c", "d", "e"], "b", "unused")  # an emptied group goes
    assert one.body.groups == (Group(name="first", nodes=("a", "b", "c", "d", "e")),)
    steps = len(one.past)
    one.join(["a"], "b", "unused")  # both are in it: nothing changes
    assert len(one.past) == steps

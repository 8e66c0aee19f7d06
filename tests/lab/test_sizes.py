"""How much of the record is whose, on both kinds of database."""

import pytest

from lab import About, Lab, LabelBody, NotAllowed, Person, Role
from lab.schema import FiguresRow, RevisionRow

ABOUT = About(graph="g", node="1_2_3")


def written(lab: Lab, person: Person) -> int:
    """Bytes, counted in Python."""
    with lab._session() as session:
        rows = session.query(RevisionRow).where(RevisionRow.author_id == person.id)
        return sum(len((row.body or "").encode()) for row in rows)


def test_all_versions_count_for_who_wrote_them(lab: Lab, ada: Person, ben: Person) -> None:
    assert (lab.size_of(ada), lab.sizes(lab.person("x", "root", "Root", Role.ADMIN))) == (0, {})
    label = lab.create(ada, ABOUT, LabelBody(text="réunion 日本"))  # more bytes than characters
    first = lab.size_of(ada)
    assert first == written(lab, ada) > len("réunion 日本")
    lab.save(label.id, ben, LabelBody(text="a backslash \\\\ and more"), 1)
    assert lab.size_of(ada) == first and lab.size_of(ben) == written(lab, ben) > 0


def test_figures_count_for_the_owner_of_the_run(lab: Lab, ada: Person, ben: Person) -> None:
    run = lab.create(ada, ABOUT, LabelBody(text="stands for a run"))
    before = lab.size_of(ada)
    with lab._session() as session:
        session.add(FiguresRow(run_id=run.id, part="p1", created=run.created, body="é" * 10))
    assert lab.size_of(ada) == before + 20 and lab.size_of(ben) == 0


def test_what_was_deleted_counts_for_nobody(lab: Lab, ada: Person) -> None:
    """So that one can make room."""
    label = lab.create(ada, ABOUT, LabelBody(text="mine"))
    size = lab.size_of(ada)
    lab.delete(label.id, ada)
    assert lab.size_of(ada) == 0
    lab.undelete(label.id, ada)
    assert lab.size_of(ada) == size
    lab.purge_record(label.id)
    assert lab.size_of(ada) == 0


def test_of_a_person_with_two_logins(lab: Lab, ada: Person, ben: Person) -> None:
    root = lab.person("x", "root", "Root", Role.ADMIN)
    for one in (ada, ben):
        lab.create(one, ABOUT, LabelBody(text="mine"))
    size = lab.size_of(ada)
    assert lab.sizes(root) == {ada.id: size, ben.id: size} and lab.ids_of(ada) == [ada.id] and lab.merged() == {}
    lab.merge(ben.id, ada.id, root)
    assert lab.sizes(root) == {ada.id: 2 * size}
    assert lab.ids_of(ada) == [ada.id, ben.id] and lab.merged() == {ben.id: ada.id}


def test_an_admin_alone_sees_all(lab: Lab, ada: Person) -> None:
    with pytest.raises(NotAllowed):
        lab.sizes(ada)

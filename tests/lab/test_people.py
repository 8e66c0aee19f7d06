"""Who is who, what each may do, and that it is checked where it is done."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lab import (
    About,
    CircuitBody,
    CommentBody,
    HypothesisBody,
    Lab,
    LabelBody,
    LabError,
    NotAllowed,
    NotFound,
    Person,
    Role,
    people,
)
from lab.schema import PersonRow
from tests.lab.hypotheses import ready

ABOUT = About(graph="g", node="1_2_3")
ELSEWHERE = "https://login.example"


@pytest.fixture
def admin(lab: Lab) -> Person:
    return lab.person(ELSEWHERE, "root", "Root", Role.ADMIN)


def test_a_login_keeps_its_role_and_takes_its_new_name(lab: Lab, admin: Person) -> None:
    eve = lab.person(ELSEWHERE, "7", "Eve", Role.VIEWER)
    assert eve.role is Role.VIEWER
    lab.give_role(eve.id, Role.EDITOR, admin)
    again = lab.person(ELSEWHERE, "7", "Eve Online", Role.VIEWER)
    assert (again.id, again.name, again.role) == (eve.id, "Eve Online", Role.EDITOR)
    assert lab.person(ELSEWHERE, "7", "Eve", Role.ADMIN, always=True).role is Role.ADMIN


WRITES: dict[str, Callable[[Lab, Person, str], object]] = {
    "create": lambda lab, who, id: lab.create(who, ABOUT, LabelBody(text="mine")),
    "comment": lambda lab, who, id: lab.create(who, About(hypothesis=id), CommentBody(text="so")),
    "save": lambda lab, who, id: lab.save(id, who, ready(title="Other"), 2),
    "restore": lambda lab, who, id: lab.restore(id, 1, who, 2),
    "show_to": lambda lab, who, id: lab.show_to(id, who, "private"),
    "delete": lambda lab, who, id: lab.delete(id, who),
    "undelete": lambda lab, who, id: lab.undelete(id, who),
    "freeze": lambda lab, who, id: lab.freeze(id, who, 2),
    "people": lambda lab, who, id: lab.people(who),
    "sizes": lambda lab, who, id: lab.sizes(who),
    "give_role": lambda lab, who, id: lab.give_role(who.id, Role.ADMIN, who),
    "merge": lambda lab, who, id: lab.merge(lab.person("local", "ben", "Ben").id, who.id, who),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_whoever_became_a_viewer_writes_nothing(
    lab: Lab, admin: Person, write: Callable[[Lab, Person, str], object]
) -> None:
    """With what the page knew of them before."""
    was = lab.person(ELSEWHERE, "7", "Eve")
    body: HypothesisBody = ready(title="First")
    id = lab.create(was, ABOUT, body).id
    lab.save(id, was, ready(title="Second"), 1)
    lab.give_role(was.id, Role.VIEWER, admin)
    before = lab.history(id, was)
    with pytest.raises(NotAllowed, match="role here is viewer"):
        write(lab, was, id)
    assert lab.history(id, was) == before and lab.freezes(id, was) == []
    record = lab.get(id, was)
    assert (record.deleted, record.visibility) == (None, "lab")
    assert lab.find("label", was) == lab.find("comment", was) == []


def test_an_editor_gives_no_roles(lab: Lab, admin: Person, ada: Person) -> None:
    for attempt in (
        lambda: lab.give_role(ada.id, Role.ADMIN, ada),
        lambda: lab.merge(admin.id, ada.id, ada),
        lambda: lab.people(ada),
    ):
        with pytest.raises(NotAllowed, match="for an admin"):
            attempt()
    claims_more = Person(ada.id, ada.name, Role.ADMIN)  # a page may say what it likes
    with pytest.raises(NotAllowed):
        lab.give_role(ada.id, Role.ADMIN, claims_more)


def test_somebody_must_be_an_admin(lab: Lab, admin: Person, ada: Person) -> None:
    with pytest.raises(LabError, match="nobody would be an admin"):
        lab.give_role(admin.id, Role.VIEWER, admin)
    assert lab.person(ELSEWHERE, "root", "Root").role is Role.ADMIN  # as it was
    with pytest.raises(LabError, match="nobody would be an admin"):
        lab.merge(admin.id, ada.id, admin)
    lab.give_role(ada.id, Role.ADMIN, admin)
    lab.give_role(admin.id, Role.VIEWER, admin)


def test_two_admins_who_leave_at_once_are_not_both_the_last(
    lab: Lab, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = lab.person("local", "other", "Other", Role.ADMIN)
    both, check = threading.Barrier(2), people._check_admins

    def checked_together(session: Session) -> None:
        with suppress(threading.BrokenBarrierError):  # the other one waits before this
            both.wait(0.5)
        check(session)

    monkeypatch.setattr(people, "_check_admins", checked_together)

    def leaves(one: Person) -> None:
        with suppress(LabError):
            lab.give_role(one.id, Role.VIEWER, one)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(leaves, (admin, other)))
    with lab._session() as session:
        assert session.scalar(select(func.count()).where(PersonRow.role == Role.ADMIN)) == 1


def test_merging_takes_all_along(lab: Lab, admin: Person, ben: Person) -> None:
    old, new = lab.person("local", "eve", "eve"), lab.person(ELSEWHERE, "7", "Eve")
    private = lab.create(old, ABOUT, CircuitBody(title="Mine", node_threshold=0.8, edge_threshold=0.98), "private")
    hypothesis = lab.create(old, ABOUT, ready())
    frozen = lab.freeze(hypothesis.id, old, 1)
    gone = lab.create(old, ABOUT, LabelBody(text="x"))
    lab.delete(gone.id, old)
    theirs = lab.create(ben, ABOUT, LabelBody(text="y"))
    lab.save(theirs.id, old, LabelBody(text="z"), 1)
    lab.merge(old.id, new.id, admin)

    found = lab.get(private.id, new)
    assert (found.owner.id, found.head.author) == (new.id, "Eve")
    lab.undelete(gone.id, new)  # its owner
    assert lab.history(theirs.id, ben)[0].author == "Eve"
    assert [(f.author, f.hash) for f in lab.freezes(hypothesis.id, new)] == [(frozen.author, frozen.hash)]
    assert [checked.fault for checked in lab.check_freezes(hypothesis.id, new)] == [None]
    assert lab.person("local", "eve", "eve") == new  # that login leads there now
    with pytest.raises(NotAllowed, match="belongs to another person"):
        lab.create(old, ABOUT, LabelBody(text="late"))
    with pytest.raises(NotFound):
        lab.merge(old.id, ben.id, admin)
    (known,) = [one for one in lab.people(admin) if one.person == new]
    assert known.logins == (f"7 at {ELSEWHERE}", "eve at local") and known.records == 3


def test_merged_once_more_and_erased(lab: Lab, admin: Person) -> None:
    first, second, third = (lab.person(ELSEWHERE, str(n), f"P{n}") for n in (1, 2, 3))
    lab.merge(first.id, second.id, admin)
    lab.merge(second.id, third.id, admin)
    assert lab.person(ELSEWHERE, "1", "P1").id == lab.person(ELSEWHERE, "2", "P2").id == third.id
    lab.purge_person(third.id)
    assert [one.person.name for one in lab.people(admin)] == ["Root"]
    assert lab.person(ELSEWHERE, "1", "P1").id != third.id  # whoever comes back is new


def test_one_person_is_not_merged_with_themselves(lab: Lab, admin: Person) -> None:
    with pytest.raises(LabError, match="one person already"):
        lab.merge(admin.id, admin.id, admin)

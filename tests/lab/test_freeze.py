"""A hypothesis is frozen once; whatever is changed afterwards, in a file or in the database, is seen."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from lab import (
    About,
    CircuitBody,
    Conflict,
    Freeze,
    HypothesisBody,
    HypothesisFile,
    Lab,
    LabError,
    NotFound,
    Person,
    exploratory,
    fault,
)
from lab.freeze import frozen, read, write
from tests.lab.hypotheses import body, prompt, ready

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SPORTS = ready()
NEWER = ready(claim="It says which ball it is.")


def freeze(body: HypothesisBody = SPORTS, **changes: Any) -> Freeze:
    told = {"record": "r1", "version": 1, "previous": None, "time": NOON, "author": "Ada"} | changes
    return frozen(body, **told)


# The hash -------------------------------------------------------------------------------------------------------------


def test_the_hash_is_the_same_in_every_version() -> None:
    """What was frozen must verify for ever. If this fails, hypotheses that people froze no longer hold."""
    assert freeze().hash == "6a10aaa4f2fad9cf1a96b98733f62e0863e226a427ccd412a16d131f3b461cd1"


def test_the_hash_is_of_text_time_author_record_version_and_parent() -> None:
    hashes = [
        freeze(body, **changes).hash
        for body, changes in (
            (SPORTS, {}),
            (NEWER, {}),
            (SPORTS, {"time": NOON + timedelta(microseconds=1)}),
            (SPORTS, {"author": "Ben"}),
            (SPORTS, {"record": "r2"}),
            (SPORTS, {"version": 2}),
            (SPORTS, {"previous": "0" * 64}),
        )
    ]
    assert len(set(hashes)) == len(hashes)
    assert freeze(time=NOON.astimezone()).hash == hashes[0]  # the same moment


def test_a_frozen_file_reads_back_and_holds_however_it_is_laid_out() -> None:
    file = HypothesisFile(hypothesis=SPORTS, freeze=freeze())
    written = write(file)
    assert read(written.encode()) == file and write(read(written.encode())) == written
    laid_out = "# for the group\n" + written.replace("\n", "\r\n").replace(
        "'2026-11-26T12:00:00.000000Z'", "2026-11-26 12:00:00Z"
    )
    again = read(laid_out.encode())
    assert again.freeze is not None and fault(again.hypothesis, again.freeze) is None


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("alpha: 0.05", "alpha: 0.1"),
        ("direction: decrease", "direction: increase"),
        ("author: Ada", "author: Ben"),
        ("T12:00:00.000000Z", "T11:00:00.000000Z"),
        ("  version: 1", "  version: 2"),
        ("hash: 6a10", "hash: 0000"),
        ("target: ' golf'", "target: ' tee'"),
    ],
)
def test_a_file_that_was_changed_does_not_hold(was: str, now: str) -> None:
    written = write(HypothesisFile(hypothesis=SPORTS, freeze=freeze()))
    assert was in written
    changed = read(written.replace(was, now, 1).encode())
    assert changed.freeze is not None
    assert "is not what was frozen" in (fault(changed.hypothesis, changed.freeze) or "")
    assert exploratory(changed.hypothesis, changed.freeze, NOON + timedelta(hours=1)) is not None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "it is no hypothesis (fields with values must stand here)"),
        ("[]", "it is no hypothesis"),
        ("freeze: {}", "it is no hypothesis (hypothesis: Field required)"),
        ('hypothesis: {claim: c, "\\e[31m\\n": 1}', "it is no hypothesis (hypothesis.title: Field required)"),
        (
            '"\\e[31m\\n": 1\n' + write(HypothesisFile(hypothesis=SPORTS)),
            "('\\x1b[31m\\n': Extra inputs are not permitted)",
        ),
        (write(HypothesisFile(hypothesis=SPORTS)).replace("alpha", "alfa"), "hypothesis.alfa: Extra inputs"),
    ],
)
def test_what_is_no_hypothesis_is_refused_in_a_line(content: str, says: str) -> None:
    with pytest.raises(LabError) as caught:
        read(content.encode())
    assert says in str(caught.value) and str(caught.value).isprintable()


def test_what_is_not_whole_or_too_large_is_not_frozen() -> None:
    with pytest.raises(LabError, match="not split into discovery and test yet: make the split first"):
        freeze(body())
    long = [prompt("Tom Brady") | {"family": str(i), "text": f"Tom Brady {i} " + "x" * 19_900} for i in range(16)]
    with pytest.raises(LabError, match="longer than 300,000 characters"):
        freeze(ready(prompts=long, split={"seed": 1}))


def test_runs_are_exploratory_unless_the_first_frozen_version_came_before() -> None:
    made, after = freeze(), NOON + timedelta(seconds=1)
    assert exploratory(SPORTS, made, after) is None
    assert exploratory(SPORTS, None, after) == "the hypothesis was not frozen"
    assert exploratory(SPORTS, made, NOON - timedelta(seconds=1)) == "the run began before the hypothesis was frozen"
    assert "is not what was frozen" in (exploratory(NEWER, made, after) or "")
    second = freeze(NEWER, version=2, previous=made.hash)
    assert exploratory(NEWER, second, after) == "version 2 changes one that was frozen before"


# In the lab -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def id(lab: Lab, ada: Person) -> str:
    return lab.create(ada, About(), SPORTS).id


def faults(lab: Lab, id: str, viewer: Person) -> list[str | None]:
    return [checked.fault for checked in lab.check_freezes(id, viewer)]


def test_a_version_is_frozen_once_and_holds(lab: Lab, id: str, ada: Person, ben: Person) -> None:
    made = lab.freeze(id, ada, 1)
    assert (made.version, made.author, made.previous) == (1, "Ada", None)
    assert abs(made.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert lab.freeze(id, ben, 1) == made == lab.freezes(id, ben)[0]
    assert faults(lab, id, ben) == [None]
    file = lab.hypothesis_file(id, 1, ben)
    assert file == HypothesisFile(hypothesis=SPORTS, freeze=made) == read(write(file).encode())


def test_a_change_is_a_draft_that_names_its_parent(lab: Lab, id: str, ada: Person, ben: Person) -> None:
    first = lab.freeze(id, ada, 1)
    assert lab.save(id, ben, NEWER, 1).number == 2
    assert lab.hypothesis_file(id, 1, ben) == HypothesisFile(hypothesis=SPORTS, freeze=first)
    assert lab.hypothesis_file(id, 2, ben) == HypothesisFile(hypothesis=NEWER, parent=first.hash)
    second = lab.freeze(id, ben, 2)
    assert (second.author, second.previous) == ("Ben", first.hash)
    assert faults(lab, id, ada) == [None, None]
    assert lab.restore(id, 1, ada, 2).number == 3  # the same words, but a draft
    assert lab.hypothesis_file(id, 3, ada) == HypothesisFile(hypothesis=SPORTS, parent=second.hash)
    with pytest.raises(NotFound, match="no version 4"):
        lab.hypothesis_file(id, 4, ada)


def test_what_cant_be_frozen_says_why(lab: Lab, id: str, ada: Person, ben: Person) -> None:
    lab.save(id, ben, NEWER, 1)
    with pytest.raises(Conflict, match="Ben saved version 2"):
        lab.freeze(id, ada, 1)
    draft = lab.create(ada, About(), body(), visibility="private").id
    with pytest.raises(LabError, match="not split"):
        lab.freeze(draft, ada, 1)
    with pytest.raises(NotFound):
        lab.freeze(draft, ben, 1)
    circuit = lab.create(ada, About(), CircuitBody(title="c")).id
    with pytest.raises(LabError, match="is no hypothesis"):
        lab.freeze(circuit, ada, 1)
    lab.delete(id, ada)
    with pytest.raises(NotFound, match="was deleted"):
        lab.freeze(id, ada, 2)
    assert lab.freezes(id, ada) == []


def test_of_two_who_freeze_at_once_one_does(lab: Lab, id: str, ada: Person, ben: Person) -> None:
    made: list[Freeze] = []
    start = threading.Barrier(6)

    def freeze_it(who: Person) -> None:
        start.wait()
        try:
            made.append(lab.freeze(id, who, 1))
        except LabError as problem:
            assert "froze it in the meantime" in str(problem)

    threads = [threading.Thread(target=freeze_it, args=(who,)) for who in (ada, ben) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made and all(one == made[0] for one in made) and lab.freezes(id, ada) == [made[0]]


TAMPERED: dict[str, tuple[str, list[str]]] = {
    "text": (
        "UPDATE revisions SET body = replace(body, '\"alpha\":0.05', '\"alpha\":0.1') WHERE number = 1",
        ["version 1 is not what was frozen", ""],
    ),
    "text of the second": (
        "UPDATE revisions SET body = replace(body, 'which ball', 'which bat') WHERE number = 2",
        ["", "version 2 is not what was frozen"],
    ),
    "text that is none": ("UPDATE revisions SET body = '{}' WHERE number = 1", ["version 1 can't be read", ""]),
    "text taken out": ("UPDATE revisions SET body = NULL WHERE number = 1", ["version 1 can't be read", ""]),
    "hash": (
        "UPDATE freezes SET hash = 'x' WHERE number = 1",
        ["version 1 is not what was frozen", "version 2 does not follow"],
    ),
    "parent": ("UPDATE freezes SET previous = 'x' WHERE number = 2", ["", "version 2 does not follow"]),
    "author": ("UPDATE freezes SET author = 'Eve' WHERE number = 2", ["", "version 2 is not what was frozen"]),
    "no author": ("UPDATE freezes SET author = NULL WHERE number = 2", ["", "version 2: who froze it was erased"]),
    "time": (
        "UPDATE freezes SET created = '2026-01-01 00:00:00.000000' WHERE number = 1",
        ["version 1 is not what was frozen", ""],
    ),
    "freeze taken out": ("DELETE FROM freezes WHERE number = 1", ["version 2 does not follow"]),
}


def test_tampering_in_the_database_is_seen(lab: Lab, ada: Person) -> None:
    for what, (statement, says) in TAMPERED.items():
        id = lab.create(ada, About(), SPORTS).id
        lab.freeze(id, ada, 1)
        lab.save(id, ada, NEWER, 1)
        lab.freeze(id, ada, 2)
        with lab._engine.begin() as connection:
            assert connection.exec_driver_sql(f"{statement} AND record_id = '{id}'").rowcount == 1, what
        found = faults(lab, id, ada)
        assert len(found) == len(says), what
        for problem, said in zip(found, says, strict=True):
            assert (problem is None) if not said else problem is not None and problem.startswith(said), what


def test_a_time_that_is_none_is_one_line(lab: Lab, id: str, ada: Person, url: str) -> None:
    if not url.startswith("sqlite"):
        return  # PostgreSQL takes no such time
    lab.freeze(id, ada, 1)
    with lab._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE freezes SET created = 'noon'")
    for call in (lab.freezes, lab.check_freezes):
        with pytest.raises(LabError, match=f"what was frozen of record {id} was changed in the database"):
            call(id, ada)


def test_a_text_that_cant_be_read_is_one_line(lab: Lab, id: str, ada: Person) -> None:
    with lab._engine.begin() as connection:
        connection.execute(text("UPDATE revisions SET body = '{}'"))
    for call in (lambda: lab.get(id, ada), lambda: lab.history(id, ada), lambda: lab.find("hypothesis", ada)):
        with pytest.raises(
            LabError, match=f"version 1 of hypothesis {id} can't be read: it was changed in the database"
        ):
            call()


PURGES: dict[str, Callable[[Lab, str, Person, Person], Any]] = {
    "the record": lambda lab, id, ada, ben: lab.purge_record(id),
    "who owns it": lambda lab, id, ada, ben: lab.purge_person(ada.id),
    "who froze it": lambda lab, id, ada, ben: lab.purge_person(ben.id),
}


@pytest.mark.parametrize("what", PURGES)
def test_a_purge_leaves_the_hash_alone(lab: Lab, id: str, ada: Person, ben: Person, what: str) -> None:
    made = lab.freeze(id, ben, 1)
    PURGES[what](lab, id, ada, ben)
    eve = lab.person("local", "eve", "Eve")
    (checked,) = lab.check_freezes(id, eve)
    assert checked.erased and checked.fault is None
    assert checked.freeze.hash == made.hash and checked.freeze.time == made.time and checked.freeze.author is None
    with lab._engine.connect() as connection:
        assert not any("Ben" in map(str, row) for row in connection.execute(text("SELECT * FROM freezes")))

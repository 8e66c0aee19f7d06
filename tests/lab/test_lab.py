"""Nothing that people wrote is lost or overwritten silently; the same tests on SQLite and on PostgreSQL."""

import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import ValidationError

from lab import (
    About,
    CircuitBody,
    CommentBody,
    Conflict,
    Group,
    Lab,
    LabDatabaseError,
    LabelBody,
    LabError,
    NotFound,
    NotYours,
    Person,
    SteeredRow,
    Unreachable,
)
from lab.__main__ import main as purge
from lab.runs.bodies import version_hash
from lab.schema import Base
from tests.lab.hypotheses import ready
from tests.lab.runs.made_up import made
from tests.lab.troubled import troubled

GRAPH = About(graph="a" * 64)
SPORTS = CircuitBody(title="Sports", pins=("13_1012_6", "14_7_6"), groups=(Group(name="ball", nodes=("14_7_6",)),))


def retitled(title: str) -> CircuitBody:
    return SPORTS.model_copy(update={"title": title})


def test_the_migrations_make_the_schema(lab: Lab) -> None:
    with lab._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_opening_twice_at_once_migrates_once(url: str) -> None:
    opened: list[Lab] = []
    threads = [threading.Thread(target=lambda: opened.append(Lab(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    for lab in opened:
        lab.close()


def test_a_person_is_one_however_often_they_come(lab: Lab) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(lab.person("local", "eve", "Eve").id)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5 and len(set(found)) == 1
    assert lab.person("https://login.example", "eve", "Eve").id != found[0]


def test_a_circuit_comes_back_as_it_was_saved(lab: Lab, ada, ben) -> None:
    made = lab.create(ada, GRAPH, SPORTS)
    read = lab.get(made.id, ben)
    assert read == made
    assert read.head.body == SPORTS and read.head.author == "Ada" and read.head.number == 1
    assert abs(read.created - datetime.now(UTC)) < timedelta(minutes=1)


def test_each_save_is_kept_and_any_can_be_restored(lab: Lab, ada, ben) -> None:
    id = lab.create(ada, GRAPH, SPORTS).id
    second = lab.save(id, ben, retitled("Balls"), base=1)
    third = lab.restore(id, 1, ada, base=second.number)
    assert third.body == SPORTS
    assert [(r.number, r.author, r.body.title) for r in lab.history(id, ada)] == [
        (3, "Ada", "Sports"),
        (2, "Ben", "Balls"),
        (1, "Ada", "Sports"),
    ]
    with pytest.raises(NotFound, match="no version 9"):
        lab.restore(id, 9, ada, base=3)


def test_the_same_again_is_no_new_version(lab: Lab, ada) -> None:
    id = lab.create(ada, GRAPH, SPORTS).id
    assert lab.save(id, ada, SPORTS, base=1).number == 1


def test_the_second_of_two_savers_sees_a_conflict_with_both_versions(lab: Lab, ada, ben) -> None:
    id = lab.create(ada, GRAPH, SPORTS).id
    lab.save(id, ada, retitled("by Ada"), base=1)
    with pytest.raises(Conflict, match="Ada saved version 2") as caught:
        lab.save(id, ben, retitled("by Ben"), base=1)
    assert caught.value.theirs.body.title == "by Ada"
    assert lab.save(id, ben, retitled("by Ben"), base=2).number == 3


def test_of_many_savers_at_once_exactly_one_wins_each_number(lab: Lab, ada) -> None:
    id = lab.create(ada, GRAPH, SPORTS).id
    results: list[str] = []
    start = threading.Barrier(8)

    def save(name: str) -> None:
        start.wait()
        try:
            lab.save(id, ada, retitled(name), base=1)
            results.append("saved")
        except Conflict:
            results.append("conflict")

    threads = [threading.Thread(target=save, args=(f"t{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["conflict"] * 7 + ["saved"]
    assert [r.number for r in lab.history(id, ada)] == [2, 1]


def test_private_is_the_owners_alone(lab: Lab, ada, ben) -> None:
    id = lab.create(ada, GRAPH, SPORTS, visibility="private").id
    for call in (lambda: lab.get(id, ben), lambda: lab.save(id, ben, SPORTS, 1), lambda: lab.history(id, ben)):
        with pytest.raises(NotFound):
            call()
    assert lab.find("circuit", ben) == []
    lab.show_to(id, ada, "lab")
    assert [r.id for r in lab.find("circuit", ben)] == [id]
    with pytest.raises(NotYours):
        lab.show_to(id, ben, "private")
    with pytest.raises(LabError, match="give lab or private"):
        lab.show_to(id, ada, "everybody")


def test_what_its_owner_made_of_a_hypothesis_is_seen_with_it(lab: Lab, ada, ben) -> None:
    def ran(by: Person, id: str, version: int) -> str:
        file = lab.hypothesis_file(id, version, by)
        told = {"hypothesis": file, "hash": version_hash(file)}
        return lab.begin_run(by, made(file.hypothesis).model_copy(update=told)).id

    id, other = (lab.create(ada, About(), ready(title=title)).id for title in ("first", "other"))
    lab.freeze(id, ada, 1)
    for base, title in enumerate(("second", "third"), start=1):  # drafts
        lab.save(id, ada, ready(title=title), base)
    hers = {ran(ada, id, version) for version in (1, 2, 3)}
    others = {ran(ben, id, 1), ran(ada, other, 1)}
    bens, adas = (lab.create(by, About(hypothesis=id), CommentBody(text="why?")).id for by in (ben, ada))
    with pytest.raises(NotYours):
        lab.show_to(id, ben, "private")
    lab.show_to(id, ada, "private")
    assert {run.id for run in lab.find("run", ben)} == others
    assert [record.id for kind in ("hypothesis", "comment") for record in lab.find(kind, ben)] == [other, bens]
    lab.show_to(id, ada, "lab")
    assert {run.id for run in lab.find("run", ben)} == hers | others and len(hers | others) == 5
    assert {comment.id for comment in lab.find("comment", ben)} == {bens, adas}


def test_labels_are_found_by_their_feature(lab: Lab, ada, ben) -> None:
    football = About(model="m", basis="neurons", layer=13, feature=1012)
    label = lab.create(ada, football, LabelBody(text="football"))
    lab.create(ada, About(model="m", basis="neurons", layer=13, feature=7), LabelBody(text="Paris"))
    lab.create(ada, GRAPH, SPORTS)
    assert [r.id for r in lab.find("label", ben, football)] == [label.id]
    assert [r.head.body.text for r in lab.find("label", ben, About(model="m"))] == ["Paris", "football"]
    assert lab.find("label", ben, About(model="another")) == []


def test_delete_leaves_a_tombstone_that_can_be_undone(lab: Lab, ada, ben) -> None:
    id = lab.create(ada, GRAPH, SPORTS).id
    with pytest.raises(NotYours):
        lab.delete(id, ben)
    lab.delete(id, ada)
    assert lab.find("circuit", ada) == [] and lab.get(id, ada).deleted is not None
    with pytest.raises(NotFound, match="deleted in the meantime"):
        lab.save(id, ben, retitled("x"), base=1)
    lab.undelete(id, ada)
    assert lab.get(id, ada).head.body == SPORTS


def test_purge_erases_the_text_and_keeps_the_id_alone(lab: Lab, ada, ben, url: str) -> None:
    secret = CircuitBody(title="a very secret title")
    id = lab.create(ada, GRAPH, secret).id
    lab.save(id, ben, retitled("secret too"), base=1)
    lab.purge_record(id)
    with pytest.raises(NotFound, match="erased"):
        lab.get(id, ada)
    assert lab.history(id, ada) == [] and lab.find("circuit", ada) == []
    if url.startswith("sqlite"):
        folder = Path(url.removeprefix("sqlite:///")).parent
        assert not any(b"secret" in path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_purge_from_the_command_line(lab: Lab, ada, url: str, monkeypatch, capsys) -> None:
    id = lab.create(ada, GRAPH, SPORTS).id
    monkeypatch.setenv("HYPOGRAPH_DATABASE_URL", url)
    for words, code, said in (
        (["--purge-record", id], 0, f"record {id}: erased"),
        (["--purge-record", "none"], 1, "there is no record none"),
        (["--purge-person", ada.id], 0, f"person {ada.id}: erased, with 1 records"),
    ):
        monkeypatch.setattr(sys, "argv", ["lab", *words])
        assert purge() == code
        shown = capsys.readouterr()
        assert said in (shown.err if code else shown.out)
    with pytest.raises(NotFound):
        lab.get(id, ada)


def test_purging_a_person_leaves_what_others_wrote(lab: Lab, ada, ben) -> None:
    mine = lab.create(ben, GRAPH, retitled("Ben's")).id
    hers = lab.create(ada, GRAPH, SPORTS).id
    lab.save(hers, ben, retitled("Ben was here"), base=1)
    assert lab.purge_person(ben.id) == 1
    with pytest.raises(NotFound):
        lab.get(mine, ada)
    assert lab.get(hers, ada).head.body == SPORTS
    assert lab.save(hers, ada, retitled("on"), base=1).number == 3  # Ben's number is not given again
    assert lab.person("local", "ben", "Ben").id != ben.id


@pytest.mark.parametrize(
    "body",
    [
        {"title": ""},
        {"title": "two\nlines"},
        {"title": "x" * 301},
        {"title": "t", "pins": ["a", "a"]},
        {"title": "t", "pins": ["a"], "groups": [{"name": "g", "nodes": ["b"]}]},
        {"title": "t", "pins": ["a"], "groups": [{"name": "g", "nodes": ["a"]}, {"name": "h", "nodes": ["a"]}]},
        {"title": "t", "pins": ["a"], "groups": [{"name": "g", "nodes": []}]},
        {"title": "t", "node_threshold": 2},
        {"title": "t", "unknown": 1},
        {"title": "t", "pins": ["x"] * 6000},
    ],
)
def test_a_body_that_makes_no_sense_is_refused(body) -> None:
    with pytest.raises(ValidationError):
        CircuitBody.model_validate(body)


@pytest.mark.parametrize(
    "text", ["<img src=x onerror=alert(1)>", "'; DROP TABLE records; --", "标签 🏀 \u202e", "a\\b"]
)
def test_hostile_texts_are_kept_as_they_are(lab: Lab, ada, text: str) -> None:
    id = lab.create(ada, About(graph="g", node=text), LabelBody(text=text)).id
    assert lab.get(id, ada).head.body.text == text
    assert [r.id for r in lab.find("label", ada, About(node=text))] == [id]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "is no database URL"),
        ("mysql://x/y", "names mysql"),
        ("postgresql://lab:hunter2@127.0.0.1:1/x", r"lab:\*\*\*@127.0.0.1"),
        ("sqlite:////dev/null/lab.sqlite", "can't be used"),
    ],
)
def test_a_database_that_cant_be_used_is_one_line(url: str, message: str) -> None:
    with pytest.raises(LabDatabaseError, match=message) as caught:
        Lab(url)
    assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value)


def test_a_record_whose_connections_are_all_in_use_says_so(lab: Lab, ada) -> None:
    pool: Any = lab._engine.pool
    pool._timeout = 0.01
    with ExitStack() as stack:
        for _ in range(pool.size() + pool._max_overflow):
            stack.enter_context(lab._engine.connect())
        with pytest.raises(Unreachable, match="can't be read or written now"):
            lab.find("label", ada)
    assert lab.find("label", ada) == []


def test_a_full_disk_is_one_line_and_nothing_has_changed(tmp_path: Path) -> None:
    lab = Lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    ada = lab.person("local", "ada", "Ada")
    id = lab.create(ada, GRAPH, SPORTS).id
    full = troubled(lab, "max_page_count=1", "max_page_count=100000")  # not below what it has
    with full, pytest.raises(LabError, match="nothing was changed: database or disk is full"):
        lab.save(id, ada, SPORTS.model_copy(update={"notes": "long " * 20_000}), base=1)
    assert lab.save(id, ada, retitled("B"), base=1).number == 2


def test_what_was_saved_survives_a_kill(tmp_path: Path) -> None:
    """kill -9 right after the answer came: both saves are there."""
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    program = (
        "import sys, time; from lab import *\n"
        "lab = Lab(sys.argv[1]); ada = lab.person('local', 'ada', 'Ada')\n"
        "id = lab.create(ada, About(graph='g'), CircuitBody(title='one')).id\n"
        "lab.save(id, ada, CircuitBody(title='two'), 1); print(id, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lab = Lab(url)
    assert [r.body.title for r in lab.history(id, lab.person("local", "ada", "Ada"))] == ["two", "one"]


def test_runs_saved_before_rows_had_a_place_still_open() -> None:
    old = {"name": "n", "nodes": [{"layer": 1, "position": 2, "feature": 3}], "unit": "factor", "amount": -1.0}
    assert SteeredRow.model_validate(old | {"onward": True}).where == "onward"
    assert SteeredRow.model_validate(old | {"onward": False}).where == SteeredRow.model_validate(old).where == "own"
    for wrong in ({"where": "range"}, {"where": "range", "start": 4, "end": 3}, {"amount": 1e30}, {"amount": "nan"}):
        with pytest.raises(ValidationError):
            SteeredRow.model_validate(old | wrong)


def test_a_comment_stays_as_it_was_said_and_is_erased_with_its_author(lab: Lab, ada, ben) -> None:
    about = About(hypothesis="0" * 12)
    said = lab.create(ben, about, CommentBody(text="  a secret doubt "))
    assert said.head.body.text == "a secret doubt"
    with pytest.raises(LabError, match="stays as it was said"):
        lab.save(said.id, ben, CommentBody(text="other"), 1)
    with pytest.raises(NotYours):
        lab.delete(said.id, ada)
    lab.delete(said.id, ben)
    assert lab.find("comment", ada, about) == []
    assert [record.id for record in lab.find("comment", ada, about, deleted=True)] == [said.id]
    lab.purge_person(ben.id)
    with pytest.raises(NotFound, match="erased"):
        lab.get(said.id, ada)

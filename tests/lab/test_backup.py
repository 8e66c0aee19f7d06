"""A backup of a real record, while people write, into a fresh database of either kind; and each earlier schema's."""

import json
import os
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, insert

from lab import About, CircuitBody, Lab, LabelBody, LabError, Person, Role
from lab.backup import back_up, restore
from lab.database import connect, migration_config
from tests.lab.hypotheses import ready

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def filled(lab: Lab, ada: Person, ben: Person) -> dict[str, str]:
    """Ids of what is in it: a private circuit with two versions, a frozen hypothesis, one that is deleted, a merge."""
    admin = lab.person("local", "root", "Root", Role.ADMIN)
    circuit = lab.create(ada, About(graph="g"), CircuitBody(title="Zürich 北京 <b>"), "private")
    lab.save(circuit.id, ada, CircuitBody(title="Two"), 1)
    hypothesis = lab.create(ben, About(), ready())
    lab.freeze(hypothesis.id, ben, 1)
    label = lab.create(ben, About(node="n"), LabelBody(text="x"))
    lab.delete(label.id, ben)
    lab.merge(lab.person("https://login.example", "7", "Ada L").id, ada.id, admin)
    lab.keep_asked("job", ada.id, "server", "{}")
    return {"circuit": circuit.id, "hypothesis": hypothesis.id, "label": label.id}


def said(lab: Lab, ids: dict[str, str]) -> object:
    ada, ben = lab.person("https://login.example", "7", "Ada L"), lab.person("local", "ben", "Ben")
    records = [lab.get(ids["circuit"], ada), lab.get(ids["hypothesis"], ben), lab.get(ids["label"], ben)]
    histories = [lab.history(record.id, record.owner) for record in records]
    return ada, records, histories, lab.check_freezes(ids["hypothesis"], ben), lab.freezes(ids["hypothesis"], ben)


@pytest.fixture
def fresh(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/fresh/lab.sqlite"


def test_all_that_was_written_is_there_again(
    lab: Lab, url: str, filled: dict[str, str], fresh: str, tmp_path: Path
) -> None:
    file = tmp_path / "backup.zip"
    counts = back_up(url, file)
    assert (counts["records"], counts["revisions"], counts["freezes"], counts["asked"]) == (3, 4, 1, 1)
    assert file.stat().st_mode & 0o077 == 0 and [path.name for path in tmp_path.glob("*.zip*")] == ["backup.zip"]
    assert restore(file, fresh) == counts
    again = Lab(fresh)
    assert said(again, filled) == said(lab, filled)
    assert [checked.fault for checked in again.check_freezes(filled["hypothesis"], said(again, filled)[0])] == [None]  # type: ignore[index]
    again.close()


def test_back_into_the_kind_that_it_came_from(
    lab: Lab, url: str, filled: dict[str, str], fresh: str, tmp_path: Path, other_url: str
) -> None:
    """Also from SQLite to PostgreSQL, as a lab does that grows."""
    before = said(lab, filled)
    back_up(url, tmp_path / "one.zip")
    restore(tmp_path / "one.zip", fresh)
    back_up(fresh, tmp_path / "two.zip")
    restore(tmp_path / "two.zip", other_url)
    again = Lab(other_url)
    assert said(again, filled) == before
    again.close()


def test_one_moment_while_people_write(lab: Lab, url: str, ada: Person, fresh: str, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            lab.create(ada, About(node="n"), LabelBody(text="x"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for i in range(5):
            counts = back_up(url, tmp_path / f"{i}.zip")
            assert counts["records"] == counts["revisions"]  # both are written in one transaction
    finally:
        stop.set()
        writer.join(10)
    restore(tmp_path / "4.zip", fresh)


def test_not_over_what_people_wrote(url: str, lab: Lab, filled: dict[str, str], tmp_path: Path) -> None:
    back_up(url, tmp_path / "b.zip")
    before = said(lab, filled)
    with pytest.raises(LabError, match="people have written into"):
        restore(tmp_path / "b.zip", url)
    assert said(lab, filled) == before


def spoiled(path: Path, name: str, change: object) -> Path:
    to = path.with_name("spoiled.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for item in old.namelist():
            data = old.read(item)
            new.writestr(item, change(data) if item == name else data)  # type: ignore[operator]
    return to


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("asked.jsonl", lambda data: b"", "other rows than it says"),
        ("revisions.jsonl", lambda data: data[:-20], "damaged"),
        ("revisions.jsonl", lambda data: b"[1]\n", "damaged"),
        ("backup.json", lambda data: b"{}", "no backup of"),
        ("backup.json", lambda data: b"[]", "no backup of"),
        ("backup.json", lambda data: data.replace(b'"schema": "0', b'"schema": "9'), "of a newer Hypograph"),
    ],
)
def test_a_damaged_one_leaves_nothing_behind(
    url: str, lab: Lab, filled: dict[str, str], fresh: str, tmp_path: Path, name: str, change: object, why: str
) -> None:
    back_up(url, tmp_path / "b.zip")
    with pytest.raises(LabError, match=why):
        restore(spoiled(tmp_path / "b.zip", name, change), fresh)
    restore(tmp_path / "b.zip", fresh)  # as if nothing had been tried


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_none(fresh: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(LabError, match="is no backup"):
        restore(tmp_path / "b.zip", fresh)
    with pytest.raises(LabError, match="is no backup"):
        restore(tmp_path / "none.zip", fresh)


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OF_SCHEMA = {  # what people had written, in each schema from which on such a table is there
    "0001": {
        "persons": {"id": "p", "issuer": "local", "subject": "ada", "name": "Ada", "created": NOW},
        "records": {"id": "r", "kind": "label", "owner_id": "p", "visibility": "private", "node": "n", "created": NOW},
        "revisions": {"record_id": "r", "number": 1, "author_id": "p", "created": NOW, "body": '{"text": "x"}'},
    },
    "0002": {
        "freezes": {"record_id": "r", "number": 1, "hash": "h", "previous": "", "author_id": "p", "created": NOW},
    },
    "0003": {"figures": {"run_id": "r", "part": "1", "created": NOW, "body": "{}"}},
    "0004": {},
    "0005": {"asked": {"id": "j", "person_id": "p", "server": "s", "created": NOW, "request": "{}"}},
}


def test_each_schema_has_an_example() -> None:
    with connect("sqlite://").connect() as connection:
        scripts = ScriptDirectory.from_config(migration_config(connection))
        assert {script.revision for script in scripts.walk_revisions()} == set(OF_SCHEMA)


@pytest.mark.parametrize("schema", OF_SCHEMA)
@pytest.mark.parametrize("by_backup", [False, True])
def test_what_an_earlier_version_wrote_is_read(
    url: str, fresh: str, tmp_path: Path, schema: str, by_backup: bool
) -> None:
    """`url`: an empty database, which no `lab` has opened."""
    engine = connect(url)
    with engine.begin() as connection:
        command.upgrade(migration_config(connection), schema)
        metadata = MetaData()
        metadata.reflect(connection)
        for name, rows in OF_SCHEMA.items():
            for table, row in rows.items():
                if name <= schema:
                    more = {"role": "editor"} if table == "persons" and schema >= "0004" else {}
                    connection.execute(insert(metadata.tables[table]), row | more)
    engine.dispose()
    if by_backup:
        back_up(url, tmp_path / "b.zip")
        restore(tmp_path / "b.zip", fresh)
    lab = Lab(fresh if by_backup else url)
    ada = lab.person("local", "ada", "Ada")
    (record,) = lab.find("label", ada)
    assert (record.head.body, record.visibility, record.created) == (LabelBody(text="x"), "private", NOW)
    assert ada.role is (Role.EDITOR if schema >= "0004" else Role.ADMIN)  # who was there before had it to themselves
    lab.save("r", ada, LabelBody(text="y"), 1)
    lab.close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # a process takes seconds; the kinds are tried above
def test_from_the_command_line(lab: Lab, url: str, filled: dict[str, str], fresh: str, tmp_path: Path) -> None:
    def run(*words: str, database: str = url) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"HYPOGRAPH_DATABASE_URL": database}
        command_line = [sys.executable, "-m", "lab", *words]
        return subprocess.run(command_line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    done = run("--backup", str(tmp_path / "b.zip"))
    assert (done.returncode, done.stdout) == (0, f"3 records of 4 persons backed up to {tmp_path}/b.zip\n"), done.stderr
    assert json.loads(zipfile.ZipFile(tmp_path / "b.zip").read("backup.json"))["rows"]["records"] == 3
    done = run("--restore", str(tmp_path / "b.zip"), database=fresh)
    assert (done.returncode, done.stdout) == (0, f"3 records of 4 persons restored from {tmp_path}/b.zip\n"), (
        done.stderr
    )
    done = run("--restore", str(tmp_path / "b.zip"), database=fresh)
    assert done.returncode == 1 and "people have written" in done.stderr and "Traceback" not in done.stderr

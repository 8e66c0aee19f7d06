"""Files that are made to do harm, where no other test has them: a backup of anybody's (docs/attacks.csv names those of
the Library, of hypotheses, bundles and feature sets)."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from lab import About, Lab, LabDatabaseError, LabelBody, LabError, Person
from lab import backup as lab_backup
from lab.backup import back_up, restore
from lab.database import connect

Change = Callable[[bytes], bytes]


@pytest.fixture
def backup(lab: Lab, ada: Person, tmp_path: Path) -> Path:
    lab.create(ada, About(node="n"), LabelBody(text="x"))
    back_up(f"sqlite:///{tmp_path}/lab.sqlite", tmp_path / "b.zip")
    return tmp_path / "b.zip"


def spoiled(path: Path, name: str, change: Change, more: dict[str, bytes] | None = None) -> Path:
    to = path.with_name("spoiled.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.namelist():
            new.writestr(item, change(old.read(item)) if item == name else old.read(item))
        for item, content in (more or {}).items():
            new.writestr(item, content)
    return to


DEEP = b"[" * 200_000 + b"]" * 200_000
SPOILED: dict[str, tuple[str, Change]] = {
    "deep list in the head": ("backup.json", lambda data: DEEP),
    "deep list in a row": ("records.jsonl", lambda data: DEEP + b"\n"),
    "bomb in the head": ("backup.json", lambda data: b" " * 2_000_000 + data),
    "bomb in a row": ("records.jsonl", lambda data: b" " * 300_000 + data),
    "number of 5,000 digits": (
        "revisions.jsonl",
        lambda data: data.replace(b'"number": 1', b'"number": ' + b"9" * 5000),
    ),
    "number too large": ("revisions.jsonl", lambda data: data.replace(b'"number": 1', b'"number": ' + b"9" * 30)),
    "list for a text": ("records.jsonl", lambda data: data.replace(b'"label"', b'["label"]')),
    "column that is none": ("records.jsonl", lambda data: data.replace(b'"kind"', b'"kind); DROP TABLE persons"')),
    "schema that is a command": ("backup.json", lambda data: data.replace(b'"schema": "0005"', b'"schema": "base"')),
    "schema that is a path": ("backup.json", lambda data: data.replace(b'"schema": "0005"', b'"schema": "../x"')),
    "a pickle": ("records.jsonl", lambda data: b"cos\nsystem\n(S'touch pwned'\ntR.\n"),
    "no text": ("records.jsonl", lambda data: b"\xff\xfe\x00\n"),
    "somebody else's row": ("revisions.jsonl", lambda data: data.replace(b'"record_id": "', b'"record_id": "x')),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_backup_made_to_do_harm_is_one_line(name: str, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_backup, "MOST_LINE", 100_000)
    fresh = f"sqlite:///{backup.parent}/fresh.sqlite"
    with pytest.raises((LabError, LabDatabaseError)) as refusal:
        restore(spoiled(backup, *SPOILED[name]), fresh)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 1000
    assert not list(backup.parent.glob("**/pwned"))
    restore(backup, fresh)  # as if nothing had been tried


def test_a_backup_s_other_files_go_nowhere(backup: Path) -> None:
    more = {"../../climbs": b"x", "/tmp/hypograph-climbs": b"x", "x.py": b"raise SystemExit"}
    before = set(backup.parent.rglob("*"))
    restore(spoiled(backup, "", bytes, more), f"sqlite:///{backup.parent}/fresh.sqlite")
    new = {path.name for path in backup.parent.rglob("*")} - {path.name for path in before}
    assert {name for name in new if not name.startswith("fresh.sqlite")} == {"spoiled.zip"}
    assert not Path("/tmp/hypograph-climbs").exists()


def test_rows_are_read_a_few_at_a_time(lab: Lab, ada: Person, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they are: what is in memory at once is bounded."""
    for n in range(5):
        lab.create(ada, About(node=str(n)), LabelBody(text="x"))
    url = f"sqlite:///{backup.parent}/lab.sqlite"
    counts = back_up(url, backup)
    monkeypatch.setattr(lab_backup, "MOST_LINE", 500)
    known = MetaData()
    with connect(url).connect() as connection:
        known.reflect(connection)
    with zipfile.ZipFile(backup) as archive:
        sizes = [len(rows) for rows in lab_backup._batches(archive, known.tables["records"])]
    assert sum(sizes) == counts["records"] and max(sizes) < 4

"""`verify`: a frozen file or record holds (0), or one line says what does not (1)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import About, CircuitBody, HypothesisFile, Lab, Person
from lab.freeze import frozen, write
from tests.cli.driver import Cli
from tests.lab.hypotheses import ready

MADE = frozen(ready(), "r1", 1, None, datetime(2026, 11, 26, 12, tzinfo=UTC), "Ada \x1b[31m")
FILE = write(HypothesisFile(hypothesis=ready(), freeze=MADE))


@pytest.fixture
def lab(home: Path) -> Iterator[Lab]:
    """The one that the command opens."""
    lab = Lab(f"sqlite:///{home / 'lab.sqlite'}")
    yield lab
    lab.close()


def test_a_frozen_file_holds(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "sports.yaml"
    path.write_text(FILE)
    said = cli.text("verify", path)
    assert said == (
        f"holds: version 1 of record 'r1', frozen by 'Ada \\x1b[31m' at 2026-11-26 12:00:00 UTC, SHA-256 {MADE.hash}\n"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (FILE.replace("alpha: 0.05", "alpha: 0.1"), "sports.yaml: version 1 is not what was frozen"),
        (FILE[FILE.index("hypothesis:") :], "sports.yaml is not frozen: it is a draft, and runs on it are exploratory"),
        (FILE.replace("alpha:", "alfa:"), "sports.yaml: it is no hypothesis (hypothesis.alfa: Extra inputs"),
        (FILE.replace("seen:", "seen: &x"), "has anchors (&name)"),
        ("a: [", "sports.yaml: it is no YAML (line "),
        ("", "sports.yaml: it is no hypothesis"),
    ],
)
def test_what_does_not_hold_is_one_line(cli: Cli, tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "sports.yaml"
    path.write_text(content)
    assert says in cli.fails("verify", path)


def test_what_is_no_file(cli: Cli, tmp_path: Path) -> None:
    assert "can't be read (No such file or directory)" in cli.fails("verify", tmp_path / "none.yaml")
    assert "can't be read" in cli.fails("verify", tmp_path)
    cli.usage("verify")
    cli.usage("verify", "a.yaml", "--record", "x")


def test_a_record_of_the_lab(cli: Cli, lab: Lab, ada: Person) -> None:
    id = lab.create(ada, About(), ready()).id
    assert f"record {id} has no frozen version" in cli.fails("verify", "--record", id)
    first = lab.freeze(id, ada, 1)
    lab.save(id, ada, ready(claim="Another"), 1)
    lab.freeze(id, ada, 2)
    one, two = cli.text("verify", "--record", id).splitlines()
    assert one.startswith(f"holds: version 1 of record '{id}', frozen by 'Ada' at") and one.endswith(first.hash)
    assert two.startswith("holds: version 2") and two.endswith(f", changes {first.hash[:12]}…: exploratory")
    with lab._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE freezes SET author = 'Eve' WHERE number = 2")
    assert f"record {id}: version 2 is not what was frozen" in cli.fails("verify", "--record", id)
    lab.purge_record(id)
    assert [line.split(",")[0] for line in cli.text("verify", "--record", id).splitlines()] == [
        "erased: version 1",
        "erased: version 2",
    ]


def test_records_that_are_none(cli: Cli, lab: Lab, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no such record" in cli.fails("verify", "--record", "none")
    circuit = lab.create(ada, About(), CircuitBody(title="c")).id
    assert "is no hypothesis" in cli.fails("verify", "--record", circuit)
    monkeypatch.setenv("HYPOGRAPH_DATABASE_URL", "nonsense")
    assert "is no database URL" in cli.fails("verify", "--record", circuit)

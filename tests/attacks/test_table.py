"""docs/attacks.csv: which test tries which attack, wherever it lies."""

import csv
from pathlib import Path

import pytest

from tests.test_parity_table import functions

ROOT = Path(__file__).resolve().parents[2]

with (ROOT / "docs" / "attacks.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("row", ROWS, ids=[row["attack"] for row in ROWS])
def test_each_attack_has_tests_that_are_there(row: dict[str, str]) -> None:
    assert list(row) == ["attack", "where", "test"] and all(row.values())
    for name in row["test"].split("; "):
        path, _, function = name.partition("::")
        assert function in functions(path), f"{name} is not there"


def test_each_test_of_this_folder_is_in_the_table() -> None:
    named = {name for row in ROWS for name in row["test"].split("; ")}
    here = {f"tests/attacks/{path.name}" for path in Path(__file__).parent.glob("test_*.py")} - {
        "tests/attacks/test_table.py"
    }
    there = {f"{path}::{name}" for path in here for name in functions(path)}
    control = "tests/attacks/test_outside.py::test_what_is_there_is_seen_by_who_may"  # without it others prove nothing
    assert there - named == {control}

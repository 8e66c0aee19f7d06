"""docs/faults.csv: each fault has a test that is there."""

import ast
import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

with (ROOT / "docs" / "faults.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("row", ROWS, ids=[row["fault"] for row in ROWS])
def test_every_fault_has_tests(row: dict[str, str]) -> None:
    assert list(row) == ["fault", "test", "what people see; what is kept"] and all(row.values())
    for name in row["test"].split("; "):
        path, _, function = name.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, f"{name} is not there"


def test_every_test_of_this_folder_is_in_the_table() -> None:
    named = {name for row in ROWS for name in row["test"].split("; ")}
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        if path.name != "test_table.py":
            assert f"tests/faults/{path.name}" in {name.partition("::")[0] for name in named}

"""docs/explorer-parity.csv: each feature of Neuronpedia's explorer with a test that is there, or why there is none."""

import ast
import csv
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "explorer-parity.csv"
SECTIONS = ("1.4", "1.5", "1.6", "1.7", "1.8", "1.9")  # of the study of Neuronpedia; 5.2 is what it can't do

with TABLE.open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


def test_the_table_has_its_columns_and_every_section() -> None:
    assert list(ROWS[0]) == ["feature", "section", "status", "test", "note"]
    counts = [sum(row["section"] == section for row in ROWS) for section in SECTIONS]
    assert sum(counts) + sum(row["section"] == "5.2" for row in ROWS) == len(ROWS) and min(counts) >= 8, counts
    assert len({row["feature"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row["feature"] for row in ROWS])
def test_every_row_has_a_test_or_a_reason(row: dict[str, str]) -> None:
    assert None not in row and all(value is not None for value in row.values())  # as many cells as columns
    assert row["status"] in ("have", "better", "not")
    if row["status"] == "not":
        assert row["note"] and not row["test"]
    else:
        assert row["test"] and (row["note"] or row["status"] == "have")
    for name in filter(None, row["test"].split("; ")):
        path, _, function = name.partition("::")
        assert function in functions(path), f"{name} is not there"


@cache
def functions(path: str) -> set[str]:
    """The tests of a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}

"""What a search of the Library takes for a date, and what for a number."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cache import Entry
from ui.library_search import Labels, find_graphs, words_of

ENTRY = Entry("k", {"prompt": "2 + 1 =", "tokens": ["2", " +", " 1", " ="]}, datetime(2026, 11, 6, 9).timestamp(), 1)
NOBODY: Any = SimpleNamespace()  # no label, so no graph is read


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", True),
        ("2 1", True),
        ("2026", True),
        ("2026-11", True),
        ("2026-11-06 +", True),
        ("6 Nov 2026", True),
        ("06 november", True),
        ("6", False),
        ("26", False),
        ("11", False),
        ("2026-10", False),
        ("7 nov", False),
        ("dec", False),
    ],
)
def test_dates_and_numbers(search: str, found: bool) -> None:
    assert find_graphs(NOBODY, [ENTRY], words_of(search), Labels()) == ([ENTRY] if found else [])

"""A graph that several people read is in memory once, and is let go when nobody does any more."""

import gc
import weakref
from pathlib import Path
from typing import Any

from cache import GraphCache
from service.shelf import Shelf
from tests.service.fake_engine import FakeGraph


def shelf(tmp_path: Path, n: int) -> Shelf:
    made = Shelf(GraphCache(tmp_path, 10_000_000))
    for i in range(n):
        graph: Any = FakeGraph({"n": i})
        assert made.put(f"{i}", graph)
    return made


def test_one_that_an_open_page_has_is_not_read_again(tmp_path: Path) -> None:
    graphs = shelf(tmp_path, 1)
    held = graphs.get("0")
    for i in range(1, 9):  # it is not among the latest any more
        graphs.put(f"{i}", FakeGraph({"n": i}))  # type: ignore[arg-type]
    assert graphs.get("0") is held
    left = weakref.ref(held)  # type: ignore[arg-type]
    del held
    for i in range(1, 9):
        graphs.get(f"{i}")
    gc.collect()
    assert left() is None and graphs.get("0") is not None


def test_one_that_was_deleted_is_gone_though_a_page_has_it(tmp_path: Path) -> None:
    graphs = shelf(tmp_path, 9)
    held = graphs.get("0")
    for i in range(1, 9):
        graphs.get(f"{i}")
    graphs._cache.delete("0")
    assert graphs.get("0") is None and held is not None

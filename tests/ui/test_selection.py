"""Which of canvas, tables and address is obeyed."""

from types import SimpleNamespace

import pytest

from ui import history, selection
from ui.history import UNDER_WAY
from ui.selection import Selection


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A hand on the time, and an address without a browser."""
    clock = SimpleNamespace(now=100.0, address={}, back=False)
    monkeypatch.setattr(history.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(history, "went_back", lambda: clock.back)
    monkeypatch.setattr(selection.st, "query_params", clock.address)
    return clock


def test_a_link_and_back_are_obeyed(clock: SimpleNamespace) -> None:
    selection = Selection("g")
    clock.address["select"] = "a"
    selection.follow_address({"a", "b"})
    assert (selection.id, selection.nonce) == ("a", 1)
    selection.follow_canvas("b", {"a", "b"})
    assert clock.address["select"] == "b"
    clock.back = True
    clock.address["select"] = "a"
    selection.follow_address({"a", "b"})
    assert (selection.id, selection.nonce) == ("a", 2)


def test_a_run_that_was_asked_for_before_our_write_is_no_back(clock: SimpleNamespace) -> None:
    """Clicks fast one after another: a later run still has an address from before one of them."""
    selection = Selection("g")
    selection.follow_address({"a"})
    selection.follow_canvas("a", {"a"})
    clock.now += UNDER_WAY / 2
    del clock.address["select"]
    selection.follow_address({"a"})
    assert (selection.id, selection.nonce) == ("a", 0), "the canvas would give up what it has selected"
    clock.address["select"] = "a"
    selection.follow_address({"a"})
    assert (selection.id, selection.nonce) == ("a", 0)
    clock.now += 2 * UNDER_WAY
    del clock.address["select"]
    selection.follow_address({"a"})
    assert (selection.id, selection.nonce) == (None, 1)


def test_an_address_that_names_no_node_selects_none(clock: SimpleNamespace) -> None:
    selection = Selection("g", id="a", address="a")
    clock.address["select"] = "<script>"
    selection.follow_address({"a"})
    assert (selection.id, selection.nonce) == (None, 1)

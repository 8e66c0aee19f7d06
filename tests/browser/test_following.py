"""A graph that is opened while the server starts: its card follows by itself, without a click, on the default model.

The end of it, examples where the line was, is tested in tests/ui/test_follow.py and tests/pages/test_card.py. On a
server of its own, since that of the other tests has loaded its model and collects no dashboards.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Page, expect

import tracer
from cache import GraphCache
from tests.browser.driver import card, until
from tests.serving import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.default_model, pytest.mark.soak]

KEY, NEURON = "f" * 64, "13_1012"  # "Football, 球队, stadion"


@pytest.fixture
def starting(chromium: Browser, gemma: tracer.ReplacementModel, store: Path, tmp_path: Path) -> Iterator[Server]:
    """Nobody has visited it yet; with a graph in its cache."""
    graph = gemma.trace("Fact: Michael Jordan plays the game of", max_nodes=300)
    assert GraphCache(tmp_path / "cache" / "graphs", 100_000_000).put(KEY, graph)
    (tmp_path / "models").symlink_to(store.resolve())
    with serving(tmp_path, HYPOGRAPH_DASHBOARDS="1") as server:
        yield server
    assert server.process.returncode == 0 and "terminate called" not in server.said


def read_so_far(page: Page) -> str:
    return card(page).get_by_text("of the corpus read so far").inner_text()


def test_the_card_follows_by_itself(chromium: Browser, starting: Server) -> None:
    with chromium.new_context(viewport={"width": 1440, "height": 1000}) as context:
        page = context.new_page()
        page.goto(f"{starting.address}/graph?graph={KEY}&select={NEURON}_8&nodes=1")
        expect(card(page)).to_contain_text("gemma-3-270m is being loaded", timeout=60_000)
        expect(card(page)).to_contain_text("What it says", timeout=120_000)
        expect(card(page)).not_to_contain_text("is being loaded")
        first = read_so_far(page)
        until(lambda: read_so_far(page) != first, 60)  # and nobody has clicked
        field = card(page).get_by_role("textbox", name="Try on text")
        field.fill("a goal in the football match")
        first = read_so_far(page)
        until(lambda: read_so_far(page) != first, 60)
        expect(field).to_have_value("a goal in the football match")  # what is being typed is not lost
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 1440

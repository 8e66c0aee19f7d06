"""A page that the server leads to stays on the screen, also if a fragment's timer goes off meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, expect

from benchmarks.visitor import visit
from tests.serving import ROOT, run, serving

pytestmark = pytest.mark.browser

# In every 245 ms the browser answers for 5, as on a busy machine: timers go off before messages are read.
BUSY = """() => {
    const end = performance.now() + 4000;
    const step = () => {
        const until = performance.now() + 240;
        while (performance.now() < until);
        if (performance.now() < end) setTimeout(step, 5);
    };
    setTimeout(step, 100);
}"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path, app="tests/browser/switching_app.py", PYTHONPATH=str(ROOT)) as server:
        yield server.address


def test_who_goes_on_at_once_after_a_click_gets_there(address: str) -> None:
    """Without ui/fragments.py's last look the click's run took the address back, most times."""

    async def clicks_and_goes_on() -> None:
        async with visit(f"{address}/two?n=0") as tab:
            for n in range(1, 11):
                await tab.click("Fewer")
                await tab.go("two", n=str(n))
                await asyncio.sleep(0.3)
                assert f"n is {n}" in tab.text() and tab.query == f"n={n}"

    run(clicks_and_goes_on())


def test_what_a_run_draws_last_is_seen_where_the_server_has_much_to_do(address: str) -> None:
    """Without ui/fragments.py the last line, and that the run is over, never came."""

    async def opens() -> None:
        async with visit(f"{address}/two"):
            pass  # a server's first run of all is not minded yet
        async with visit(f"{address}/three") as tab:
            assert "the last line" in tab.text()

    run(opens())


def test_a_page_that_the_server_leads_to_stays(chromium: Browser, address: str) -> None:
    """Without ui/fragments.py it was gone for good each time."""
    with chromium.new_context() as context:
        pages = [context.new_page() for _ in range(3)]
        for page in pages:
            page.goto(address)
            expect(page.get_by_role("heading", level=1)).to_have_text("One")
            page.evaluate(BUSY)
        for page in pages:
            page.wait_for_url("**/two")
            page.wait_for_timeout(1000)
            expect(page.get_by_test_id("stMain").get_by_role("heading", level=1)).to_have_text("Two")
        pages[0].get_by_role("button", name="Fewer").click()
        expect(pages[0].get_by_text("line 2")).to_have_count(0)  # what is not drawn any more does not stay either
        expect(pages[0].get_by_text("line 0")).to_have_count(1)

"""Visitors of a dashboard in a Chromium, for the browser tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page

Visit = Callable[..., Page]


def _cancel_jobs(page: Page) -> None:
    """What a test that failed has left running would hold up all others."""
    buttons = page.get_by_test_id("stSidebar").get_by_role("button", name="Cancel")
    end = time.monotonic() + 10
    while buttons.count() and time.monotonic() < end:
        for button in buttons.all():
            if button.is_enabled():
                button.click()
        page.wait_for_timeout(300)


_shared: dict[Browser, BrowserContext] = {}
"""One a browser: it keeps the page's scripts, compiled. A new tab is a new visitor to Streamlit all the same."""


def new_tab(chromium: Browser, theme: Any, width: int, height: int, context: BrowserContext | None = None) -> Page:
    if context is None:
        if chromium not in _shared:
            _shared[chromium] = chromium.new_context()
        context = _shared[chromium]
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=theme)  # with no theme chosen in its menu Streamlit follows the system's
    return page


@contextmanager
def visiting(chromium: Browser, address: str) -> Iterator[Visit]:
    """Opens the dashboard in a new tab, which is a new visitor, of `context` if one is given.

    At the end the test fails if a script of a page failed, or if a page asked another machine for anything.
    """
    pages: list[Page] = []
    errors: list[str] = []
    foreign: list[str] = []

    def note(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            foreign.append(url)

    def open_page(
        path: str = "/",
        *,
        theme: Any = "light",
        width: int = 1440,
        height: int = 1000,
        context: BrowserContext | None = None,
    ) -> Page:
        page = new_tab(chromium, theme, width, height, context)
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: note(request.url))
        page.goto(path if path.startswith("http") else address + path)
        page.get_by_test_id("stMain").get_by_role("heading", level=1).wait_for()
        page.get_by_test_id("stSidebar").get_by_text(" · cpu").wait_for(state="attached", timeout=60_000)
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        return page

    yield open_page
    for page in pages:
        if not page.is_closed():
            _cancel_jobs(page)
            page.close()
    assert errors == []
    assert foreign == []

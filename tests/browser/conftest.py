"""A Chromium, and the dashboard with the default model, for the browser tests.

Where there is no Chromium they skip; in CI that is a failure.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.visiting import Visit, new_tab, visiting
from tests.serving import ROOT, Server, serving
from tracer.errors import silent
from tracer.model.packages import converted
from tracer.presets import PRESETS

AXE = ROOT / ".ci" / "node" / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --force-prefers-reduced-motion"  # what moves is drawn by the same cores
)
expect.set_options(timeout=60_000)  # two shared cores


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, driven by playwright: no browser is downloaded. Without its window where Debian's
    package for that is there: the same engine, with much less to do beside the pages."""
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if program is None:
        pytest.skip("there is no `chromium` on the PATH (on Debian: apt-get install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=ARGUMENTS.split())
        yield browser
        browser.close()


@dataclass
class Start:
    """What its first visitor saw."""

    page_after: float = 0.0  # seconds from the start of the process to the first page
    model_after: float = 0.0  # and to the model
    loading: list[str] = field(default_factory=list)  # what the sidebar said meanwhile


@pytest.fixture(scope="session")
def start() -> Start:
    """Of `server`, filled by it."""
    return Start()


@pytest.fixture(scope="session")
def server(chromium: Browser, store: Path, start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """On an empty home, shared by all tests of the session: a fresh browser context is a fresh visitor, but the graphs
    stay cached."""
    converted(PRESETS["gemma-3-270m"], store, silent)  # not part of what is measured
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(store.resolve())
    started = time.monotonic()
    with serving(home) as server:
        _watch_loading(chromium, server, start, started)
        yield server


def _watch_loading(chromium: Browser, server: Server, start: Start, started: float) -> None:
    """Open the page as the first visitor, note what the sidebar says while the model loads, leave when it is there."""
    with chromium.new_context() as context:
        page = context.new_page()
        # Not the first page: a link to another one, opened first after a start, must bring the whole app too.
        page.goto(f"{server.address}/system")
        page.get_by_role("heading", name="System").wait_for(timeout=60_000)
        start.page_after = time.monotonic() - started
        sidebar = page.get_by_test_id("stSidebar")
        expect(sidebar).to_contain_text("MODEL")
        while "neurons · " not in (said := sidebar.inner_text()):
            if said not in start.loading:
                start.loading.append(said)
            if "Try again" in said or time.monotonic() - started > 240:
                pytest.fail(f"the model did not load: {said}")
            page.wait_for_timeout(100)
        start.model_after = time.monotonic() - started


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Iterator[Visit]:
    with visiting(chromium, server.address) as visit:
        yield visit


@pytest.fixture(scope="session")
def canvas_address(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of the canvas's own page, which needs no model."""
    home = tmp_path_factory.mktemp("canvas")
    with serving(home, app="tests/browser/canvas_app.py", PYTHONPATH=str(ROOT)) as server:
        yield server.address


@pytest.fixture
def opened(chromium: Browser, canvas_address: str) -> Iterator[Visit]:
    """Opens that page with a graph, a theme and a width; fails the test if a script of the page failed."""
    pages, errors = [], []

    def open_page(graph: str = "small", theme: Any = "light", width: int = 1200, height: int = 900) -> Page:
        page = new_tab(chromium, theme, width, height)
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{canvas_address}/?graph={graph}")
        page.get_by_test_id("graph-canvas").wait_for()
        page.wait_for_function("() => document.fonts.status === 'loaded'")
        expect(page.get_by_text("runs: 1", exact=True)).to_be_visible()
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm install --prefix .ci/node axe-core@4.14.1)")
    return AXE.read_text("utf-8")

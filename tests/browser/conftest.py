"""A Chromium, a free port, and the dashboard with the default model, for the browser tests.

Where there is no Chromium they skip; in CI that is a failure.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / ".ci" / "node" / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
expect.set_options(timeout=20_000)  # two shared cores


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, driven by playwright: no browser is downloaded."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no `chromium` on the PATH (on Debian: apt-get install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=ARGUMENTS.split())
        yield browser
        browser.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """The dashboard on an empty home, with the default model loaded."""

    address: str
    page_after: float = 0.0  # seconds from the start of the process to the first page
    model_after: float = 0.0  # and to the model
    loading: list[str] = field(default_factory=list)  # what the sidebar said meanwhile


@pytest.fixture(scope="session")
def server(chromium: Browser, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Shared by all tests of the session: a fresh browser context is a fresh visitor, but the graphs stay cached."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(store.resolve())
    server = Server(f"http://127.0.0.1:{_free_port()}")
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", server.address.rpartition(":")[2]]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HYPOGRAPH_")}
    started = time.monotonic()
    with open(home / "server.log", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment | {"HYPOGRAPH_HOME": str(home), "HF_HUB_OFFLINE": "1", "HYPOGRAPH_DASHBOARDS": "0"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(f"{server.address}/_stcore/health", process)
        _watch_loading(chromium, server, started)
        yield server
    finally:
        process.terminate()
        process.wait(20)
        written = (home / "server.log").read_text(errors="replace")
    assert "Traceback" not in written, written[-4000:]


def _wait_for(url: str, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"{url} did not answer in {seconds} s (exit status {process.poll()})")


def _watch_loading(chromium: Browser, server: Server, started: float) -> None:
    """Open the page as the first visitor, note what the sidebar says while the model loads, leave when it is there."""
    with chromium.new_context() as context:
        page = context.new_page()
        # Not the first page: a link to another one, opened first after a start, must bring the whole app too.
        page.goto(f"{server.address}/system")
        page.get_by_role("heading", name="System").wait_for(timeout=60_000)
        server.page_after = time.monotonic() - started
        sidebar = page.get_by_test_id("stSidebar")
        expect(sidebar).to_contain_text("MODEL")
        while "neurons · " not in (said := sidebar.inner_text()):
            if said not in server.loading:
                server.loading.append(said)
            if "Try again" in said or time.monotonic() - started > 240:
                pytest.fail(f"the model did not load: {said}")
            page.wait_for_timeout(100)
        server.model_after = time.monotonic() - started


def _cancel_jobs(page: Page) -> None:
    """What a test that failed has left running would hold up all others."""
    buttons = page.get_by_test_id("stSidebar").get_by_role("button", name="Cancel")
    end = time.monotonic() + 10
    while buttons.count() and time.monotonic() < end:
        for button in buttons.all():
            if button.is_enabled():
                button.click()
        page.wait_for_timeout(300)


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Iterator[Visit]:
    """Opens the dashboard as a new visitor, or in a new tab of `context`.

    At the end the test fails if a script of a page failed, or if a page asked another machine for anything.
    """
    contexts: list[BrowserContext] = []
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
        if context is None:
            # With no theme chosen in its menu Streamlit follows the system's, which is what color_scheme plays.
            context = chromium.new_context(color_scheme=theme, viewport={"width": width, "height": height})
            contexts.append(context)
        page = context.new_page()
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: note(request.url))
        page.goto(path if path.startswith("http") else server.address + path)
        page.get_by_test_id("stMain").get_by_role("heading", level=1).wait_for()
        page.get_by_test_id("stSidebar").get_by_text(" · cpu").wait_for(state="attached")
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        return page

    yield open_page
    for page in pages:
        if not page.is_closed():
            _cancel_jobs(page)
    for context in contexts:
        context.close()
    assert errors == []
    assert foreign == []


@pytest.fixture(scope="session")
def canvas_address(chromium: Browser) -> Iterator[str]:
    """The server of the canvas's own page, which needs no model."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "tests/browser/canvas_app.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def opened(chromium: Browser, canvas_address: str) -> Iterator[Visit]:
    """Opens that page with a graph, a theme and a width; fails the test if a script of the page failed."""
    contexts, errors = [], []

    def open_page(graph: str = "small", theme: Any = "light", width: int = 1200, height: int = 900) -> Page:
        context = chromium.new_context(color_scheme=theme, viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{canvas_address}/?graph={graph}")
        page.get_by_test_id("graph-canvas").wait_for()
        page.wait_for_function("() => document.fonts.status === 'loaded'")
        expect(page.get_by_text("runs: 1", exact=True)).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm install --prefix .ci/node axe-core@4.14.1)")
    return AXE.read_text("utf-8")

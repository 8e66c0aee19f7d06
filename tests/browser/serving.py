"""The dashboard as a process of its own on a data folder, and its visitors, for the browser tests."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]

Visit = Callable[..., Page]


@dataclass
class Server:
    address: str
    process: "subprocess.Popen[bytes]"
    page_after: float = 0.0  # seconds from the start of the process to the first page
    model_after: float = 0.0  # and to the model
    loading: list[str] = field(default_factory=list)  # what the sidebar said meanwhile


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"{url} did not answer in {seconds} s (exit status {process.poll()})")


@contextmanager
def serving(home: Path, port: int, *, base: str = "", root: Path = ROOT, **settings: str) -> Iterator[Server]:
    """On the data folder `home`, without a network; the program's files are in `root`, its pages below `/base`. At the
    end: no traceback may be in its log."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("HYPOGRAPH_", "NEURONPEDIA"))
    }
    environment = inherited | {"HYPOGRAPH_HOME": str(home), "HF_HUB_OFFLINE": "1"} | settings
    environment |= {"STREAMLIT_SERVER_BASE_URL_PATH": base} if base else {}
    log = home / "server.log"
    with open(log, "ab") as file:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}" + (f"/{base}" if base else "")
    try:
        wait_for(f"{address}/_stcore/health", process)
        yield Server(address, process)
    finally:
        process.terminate()
        process.wait(20)
        written = log.read_text(errors="replace")
    assert "traceback" not in written.lower(), written[-4000:]  # Python's own, or in a line of the log


def _cancel_jobs(page: Page) -> None:
    """What a test that failed has left running would hold up all others."""
    buttons = page.get_by_test_id("stSidebar").get_by_role("button", name="Cancel")
    end = time.monotonic() + 10
    while buttons.count() and time.monotonic() < end:
        for button in buttons.all():
            if button.is_enabled():
                button.click()
        page.wait_for_timeout(300)


@contextmanager
def serving_app(app: str) -> Iterator[str]:
    """The address of a small app of the tests' own, which needs no model."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", f"tests/browser/{app}", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


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

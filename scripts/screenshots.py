"""Take the README's pictures from the running app: `make screenshots`. Needs Chromium; traces one example."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import tracer  # noqa: E402
from tests.serving import serving  # noqa: E402

OUT = ROOT / "docs"
PROMPT = "Michael Jordan plays the sport of"
NODE = "13_1012_6"
EXAMPLE = "6-two-neurons-are-needed"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@contextmanager
def app() -> Iterator[str]:
    """The app with an empty home, but for the converted models; its address."""
    models = tracer.home() / "models"
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        Path(home, "models").symlink_to(models)
        with serving(Path(home), HYPOGRAPH_DASHBOARDS="1") as server:
            yield server.address


def open_page(browser: Browser, address: str, theme: str, width: int) -> Page:
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme).new_page()  # type: ignore[arg-type]
    page.goto(address)
    return page


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("Hypograph: there is no chromium here; install it (on Debian: apt-get install chromium)")
    OUT.mkdir(exist_ok=True)
    with app() as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = open_page(browser, address, "light", 1440)
        box = page.get_by_label("Prompt", exact=True)
        box.wait_for()
        box.fill(PROMPT)
        page.get_by_role("button", name="Trace", exact=True).wait_for(timeout=180_000)
        page.wait_for_timeout(1500)
        page.screenshot(path=OUT / "trace.png")
        page.get_by_role("button", name="Trace", exact=True).click()
        page.get_by_test_id("graph-canvas").wait_for(timeout=120_000)
        link = f"{page.url}&select={NODE}"
        for name, theme, width in (
            ("graph", "light", 1440),
            ("graph-dark", "dark", 1440),
            ("graph-phone", "light", 390),
        ):
            page = open_page(browser, link, theme, width)
            page.get_by_text("What it says").wait_for(timeout=60_000)
            page.wait_for_timeout(2500)
            page.screenshot(path=OUT / f"{name}.png")
            print(f"docs/{name}.png")
        page = open_page(browser, f"{address}/hypotheses?example={EXAMPLE}", "light", 1440)
        page.get_by_text("All statistics").wait_for(timeout=60_000)
        page.wait_for_timeout(2500)
        page.screenshot(path=OUT / "hypothesis.png")
        print("docs/hypothesis.png")


if __name__ == "__main__":
    main()

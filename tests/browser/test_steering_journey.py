"""From an empty data folder to a steered circuit, a comparison and a demo, on the default model, in one piece."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import idle, main, pins, press, sidebar, trace, until
from tests.browser.test_demo import bar, click_through
from tests.browser.test_steer import metric
from tests.browser.visiting import visiting
from tests.serving import serving
from ui.demo_steps import DEMOS

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

Record = Callable[[str, object], None]
DEMO = DEMOS["paris"]


def test_trace_pin_steer_save_link_text_compare_demo(
    chromium: Browser, store: Path, tmp_path: Path, record_property: Record
) -> None:
    started = time.monotonic()
    (tmp_path / "models").symlink_to(store.resolve())
    with serving(tmp_path) as server, visiting(chromium, server.address) as visit:
        page = visit()
        trace(page, DEMO.steps[0].scene.prompt, 9)
        pin_and_steer(page, record_property)
        kl = save(page)
        other = visit(page.url)
        expect(metric(other, "KL")).to_have_text(kl)
        write_text(other)
        other.close()
        compare(page)
        page.goto(server.address)
        click_through(page, DEMO)
        idle(page)
        bar(page).get_by_role("button", name="End", exact=True).click()
        expect(main(page)).to_contain_text("Recent graphs")
        sidebar(page).get_by_role("link", name="Steer").click()
        expect(main(page).get_by_role("heading", name="Steer", level=1)).to_be_visible()
    record_property("journey of steering, s", round(time.monotonic() - started, 1))


def pin_and_steer(page: Page, record: Record) -> None:
    idle(page)
    main(page).get_by_role("button", name=re.compile("Pin the 12 most")).click()
    until(lambda: len(pins(page)) == 13)
    idle(page)
    press(page, "Steer")
    page.wait_for_url(re.compile(r"/steer\?graph="))
    expect(main(page)).to_contain_text(re.compile(r"20 controls: mean .* do as much"))
    idle(page)
    thumb = main(page).get_by_role("slider", name="× own").first
    waits = []
    for _ in range(5):
        before, start = metric(page, "KL").inner_text(), time.monotonic()
        thumb.press("ArrowLeft")
        until(lambda before=before: metric(page, "KL").inner_text() != before)
        waits.append(time.monotonic() - start)
        idle(page)
    record("slider → next-token result, s, median, worst", (round(median(waits), 2), round(max(waits), 2)))
    expect(main(page)).to_contain_text("The graph predicted")
    expect(main(page)).to_contain_text("Other supernodes")
    main(page).get_by_role("radio", name="free", exact=True).click()
    expect(main(page)).to_contain_text("Nothing is held")


def save(page: Page) -> str:
    """What the KL was."""
    idle(page)
    kl = metric(page, "KL").inner_text()
    press(page, "Save the run")
    page.wait_for_url(re.compile(r"run=[0-9a-f]{12}"))
    return kl


def write_text(page: Page) -> None:
    idle(page)
    tokens = main(page).get_by_role("spinbutton", name="Tokens", exact=True)
    tokens.fill("5")
    tokens.press("Enter")
    idle(page)
    press(page, "Generate")
    expect(main(page).get_by_text("Paris").last).to_be_visible()


def compare(page: Page) -> None:
    """The prompt as it is beside what this tab steers."""
    sidebar(page).get_by_role("link", name="Compare").click()
    expect(main(page).get_by_role("heading", name="Compare", level=1)).to_be_visible()
    expect(main(page).get_by_role("textbox", name="Prompt of column 1")).to_have_value(DEMO.steps[0].scene.prompt)
    idle(page)
    press(page, "Compare")
    for at in (1, 2):
        text = main(page).get_by_role("list", name=f"Text of column {at}").get_by_role("listitem")
        expect(text).to_have_count(20, timeout=60_000)
    expect(main(page).get_by_role("button", name="HTML")).to_be_visible()

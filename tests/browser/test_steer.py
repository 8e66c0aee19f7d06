"""The Steer page on the default model in a real Chromium: its looks, and its buttons that stop what runs."""

import re
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import idle, main, press
from tests.browser.looks import WIDE, flaws
from tests.browser.visiting import Visit

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

PROMPT = "Hecho: Michael Jordan juega al"


def metric(page: Page, name: str) -> Locator:
    return main(page).get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue")


def add_feature(page: Page, layer: int, feature: int) -> None:
    idle(page)
    body = main(page).get_by_test_id("stExpander").filter(has_text="Add a feature")
    body.locator("summary").click()
    for name, number in (("Layer", layer), ("Feature", feature)):
        field = body.get_by_role("spinbutton", name=name, exact=True)
        field.fill(str(number))
        field.press("Enter")
        idle(page)
    body.get_by_role("button", name="Add", exact=True).click()


def enter(page: Page, role: Any, name: str, text: str) -> None:
    field = main(page).get_by_role(role, name=name, exact=True)
    field.fill(text)
    field.press("Enter")
    idle(page)


def test_the_page_fits_its_window_and_what_it_runs_can_be_stopped(visit: Visit, axe: str) -> None:
    page = visit("/steer")
    enter(page, "textbox", "Prompt", PROMPT)
    add_feature(page, 13, 1012)
    expect(main(page)).to_contain_text(re.compile(r"20 controls: mean"))
    idle(page)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(500)
        assert page.evaluate(WIDE) == []
        assert flaws(page, axe, f"steer, {width}") == []
    enter(page, "textbox", "Prompt", " ".join([PROMPT] * 6))  # so that there is time to click
    enter(page, "spinbutton", "How many", "200")
    page.locator(".st-key-steer_controls_cancel").get_by_role("button").click()
    expect(main(page)).to_contain_text(re.compile(r"Stopped: (matching controls|\d+ of 200 controls)"))
    enter(page, "spinbutton", "Tokens", "100")
    press(page, "Generate")
    page.locator(".st-key-steer_text_cancel").get_by_role("button").click()
    expect(main(page)).to_contain_text(re.compile(r"Stopped: \d+ of 100 tokens"))
    expect(main(page).get_by_role("button", name="Cancel")).to_have_count(0)
    expect(main(page).get_by_role("button", name="Run again")).to_be_visible()

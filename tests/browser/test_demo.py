"""Guided demos on the default model in a real Chromium; test_steering_journey.py clicks through one whole."""

import re

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import card_name, idle, main, pins, until, wait_for_graph
from tests.browser.looks import CUT, WIDE, flaws
from tests.browser.test_steer import metric
from tests.browser.visiting import Visit
from ui.demo_steps import DEMOS, Demo

pytestmark = [pytest.mark.browser, pytest.mark.default_model]


def bar(page: Page) -> Locator:
    return page.locator(".st-key-demo")


def at_step(page: Page, demo: Demo, n: int) -> None:
    """Its page is on the screen, with what the caption says."""
    step = demo.steps[n - 1]
    expect(bar(page)).to_contain_text(f"step {n} of {len(demo.steps)}: {step.title}")
    parts = f"/{step.page}?", f"demo={demo.id}", f"step={n}"
    page.wait_for_url(lambda url: all(part in url for part in parts))
    if step.edits:
        shown = metric(page, "Probability")  # for a moment still that of the step before
        until(lambda: abs(float(shown.inner_text().rstrip("%")) / 100 - step.figures["after"]) < 0.006)
        expect(main(page)).to_contain_text(re.compile(r"20 controls: mean"))
        expect(main(page)).to_contain_text(f"{step.figures['as_much']:.0f} of 20 do as much")


def click_through(page: Page, demo: Demo) -> None:
    """From the Trace page to the demo's last step, and out of it."""
    page.locator(f".st-key-demo_{demo.id}").get_by_role("button").click()
    wait_for_graph(page)
    at_step(page, demo, 1)
    first = demo.steps[0]
    _layer, feature, _position = (first.select or "").split("_")
    expect(card_name(page)).to_contain_text(feature)
    assert set(pins(page)) == {node for nodes in first.scene.circuit.values() for node in nodes}
    for n in range(2, len(demo.steps) + 1):
        idle(page)
        if n % 2:
            bar(page).get_by_role("button", name="Next").click()
        else:
            page.keyboard.press("n")
        at_step(page, demo, n)


def fits(page: Page, axe: str, where: str) -> None:
    idle(page)
    assert page.evaluate(WIDE) == [] and page.evaluate(CUT) == []
    assert flaws(page, axe, f"demo, {where}") == []


def test_a_link_leads_to_a_step_and_keys_to_others(visit: Visit, axe: str) -> None:
    demo = DEMOS["paris"]
    page = visit("/?demo=paris&step=5")
    at_step(page, demo, 5)
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(500)
        fits(page, axe, str(width))
    main(page).get_by_role("radio", name="free", exact=True).click()
    expect(main(page)).to_contain_text("Nothing is held")
    idle(page)
    page.keyboard.press("Shift+N")  # what was changed on the way is the step's own again
    at_step(page, demo, 4)
    expect(main(page).get_by_role("radio", name="clamp", exact=True)).to_be_checked()
    page.reload()
    at_step(page, demo, 4)
    idle(page)
    bar(page).get_by_role("button", name="End", exact=True).click()
    expect(main(page)).to_contain_text("Guided demos")
    expect(bar(page)).to_have_count(0)
    until(lambda: "demo=" not in page.url)

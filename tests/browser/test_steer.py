"""Steering on the default model in a real Chromium: from a pinned circuit to a saved run that a link opens again."""

import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import idle, main, switch_on, trace, until
from tests.browser.looks import WIDE, flaws, themes
from tests.browser.serving import Visit

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

PROMPT = "Hecho: Michael Jordan juega al"


def metric(page: Page, name: str) -> Locator:
    return main(page).get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue")


def add_feature(page: Page, layer: int, feature: int) -> None:
    idle(page)
    main(page).get_by_role("button", name="Add a feature").click()
    body = page.get_by_test_id("stPopoverBody")
    for name, number in (("Layer", layer), ("Feature", feature)):
        field = body.get_by_role("spinbutton", name=name, exact=True)
        field.fill(str(number))
        field.press("Enter")
        idle(page)
    body.get_by_role("button", name="Add", exact=True).click()
    page.keyboard.press("Escape")


def test_a_neuron_is_turned_around_and_the_run_is_kept(
    visit: Visit, record_property: Callable[[str, object], None]
) -> None:
    page = visit("/steer")
    expect(main(page)).to_contain_text("Nothing is steered yet")
    field = main(page).get_by_role("textbox", name="Prompt", exact=True)
    field.fill(PROMPT)
    field.press("Enter")
    expect(main(page).get_by_role("list", name="Tokens of the prompt").get_by_role("listitem").first).to_be_visible()
    add_feature(page, 13, 1012)
    expect(metric(page, "Δ logit")).to_have_text(re.compile(r"[-−]\d"))
    expect(main(page)).to_contain_text(re.compile(r"20 controls: mean"))
    thumb = main(page).get_by_role("slider", name="× own")
    seconds = []
    for _ in range(7):
        before = metric(page, "KL").inner_text()
        start = time.monotonic()
        thumb.press("ArrowLeft")
        until(lambda before=before: metric(page, "KL").inner_text() != before)
        seconds.append(time.monotonic() - start)
        idle(page)
    record_property(
        "slider → next-token result, s, median, worst", (round(statistics.median(seconds), 2), max(seconds))
    )
    expect(main(page).get_by_role("slider", name="× own")).to_have_value("-1.7")

    for protocol, words in (("free", "Nothing is held"), ("direct", "the graph's own prediction")):
        before = metric(page, "KL").inner_text()
        main(page).get_by_role("radio", name=protocol, exact=True).click()
        expect(main(page)).to_contain_text(words)
        until(lambda before=before: metric(page, "KL").inner_text() != before)
    idle(page)
    main(page).get_by_role("radio", name="clamp", exact=True).click()
    idle(page)
    switch_on(page, "Dose–response")
    expect(main(page).get_by_text("× own activation")).to_be_visible()
    main(page).get_by_role("spinbutton", name="Tokens", exact=True).fill("5")
    main(page).get_by_role("spinbutton", name="Tokens", exact=True).press("Enter")
    idle(page)
    main(page).get_by_role("button", name="Generate").click()
    expect(main(page).get_by_text("baloncesto").last).to_be_visible()
    idle(page)
    title = main(page).get_by_role("textbox", name="Title of the run")
    title.fill("<img src=x onerror=alert(1)>")
    title.press("Enter")
    idle(page)
    kl = metric(page, "KL").inner_text()
    main(page).get_by_role("button", name="Save the run").click()
    page.wait_for_url(re.compile(r"run=[0-9a-f]{12}"))
    other = visit(page.url)
    expect(metric(other, "KL")).to_have_text(kl)
    expect(main(other).get_by_role("slider", name="× own")).to_have_value("-1.7")


def test_a_circuit_goes_to_the_steer_page(visit: Visit) -> None:
    page = visit("/")
    trace(page, PROMPT, 8)
    idle(page)
    main(page).get_by_role("button", name=re.compile("Pin the 12 most")).click()
    idle(page)
    main(page).get_by_role("button", name="Steer", exact=True).click()
    page.wait_for_url(re.compile(r"/steer\?graph="))
    expect(main(page).get_by_test_id("stMetric").first).to_be_visible()
    expect(main(page)).to_contain_text("The graph predicted")
    expect(main(page)).to_contain_text("Other supernodes")


def test_the_page_fits_its_window(visit: Visit, tmp_path: Path, axe: str) -> None:
    page = visit("/steer")
    field = main(page).get_by_role("textbox", name="Prompt", exact=True)
    field.fill(PROMPT)
    field.press("Enter")
    idle(page)
    add_feature(page, 13, 1012)
    expect(main(page)).to_contain_text(re.compile(r"20 controls: mean"))
    idle(page)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(500)
        assert page.evaluate(WIDE) == []
        assert flaws(page, axe, f"steer, {width}") == []
        for theme in themes(page):
            page.screenshot(path=tmp_path / f"steer_{theme}_{width}.png", full_page=True)

"""The card of a feature, on the default model in a real Chromium: tried on a text, and found elsewhere."""

import re

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import expect

from tests.browser.driver import ask, card, chips, trace, until
from tests.browser.visiting import Visit

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

PROMPT, OTHER = "Fact: Michael Jordan plays the game of", "Hecho: Michael Jordan juega al"
TEXT = "Zidane scored a goal in the football match <b>yesterday</b>."
NEURON = "13_1012"  # "Football, 球队, stadion"
LABEL = "Activation of this feature at each token of your text"


def test_a_feature_is_tried_on_a_text_and_found_elsewhere(visit: Visit) -> None:
    page = visit()
    other = trace(page, OTHER, 8)
    page = visit()
    key = trace(page, PROMPT, 9)
    page = visit(f"/graph?graph={key}&select={NEURON}_8")
    field = card(page).get_by_role("textbox", name="Try on text")
    field.fill(TEXT)
    field.press("Enter")
    expect(card(page)).to_contain_text(re.compile(r"Strongest: \d\.\d+ at ␣football"))
    shown = chips(page, LABEL).all_inner_texts()
    assert any("<b" in text or "<" in text for text in shown) and len(shown) > 12

    table = page.locator(f".st-key-same_{NEURON}_8").get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 15, "y": 52})  # the box in front of the first row
    selected = until(lambda: ask(page, "selected()") != f"{NEURON}_8" and ask(page, "selected()"))
    assert re.fullmatch(rf"{NEURON}_[1-7]", selected)
    expect(card(page).get_by_role("textbox", name="Try on text")).to_have_value(TEXT)  # and stays for the next feature

    place = card(page).get_by_role("button", name=re.compile("Hecho"))
    expect(place).to_have_count(1)
    place.click()
    expect(page).to_have_url(re.compile(f"graph={other}"))
    expect(chips(page, "Prompt").filter(has_text="juega")).to_have_count(1)
    until(lambda: page.url.endswith(f"select={ask(page, 'selected()')}") and NEURON in page.url)
    expect(card(page)).to_contain_text("Strongest:")
    page.go_back()
    expect(page).to_have_url(re.compile(f"graph={key}"))
    expect(chips(page, "Prompt").filter(has_text="plays")).to_have_count(1)


def test_the_card_fits_a_phone(visit: Visit) -> None:
    page = visit()
    key = trace(page, PROMPT, 9)
    page = visit(f"/graph?graph={key}&select={NEURON}_8", width=390, theme="dark")
    field = card(page).get_by_role("textbox", name="Try on text")
    field.fill("x" * 300)  # no place to break a line
    field.press("Enter")
    expect(card(page)).to_contain_text("Strongest:")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390

"""What a person without a mouse does: the Graph page and the Library, on the default model in a real Chromium."""

import re

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Page, expect

from tests.browser.driver import ask, canvas_of, card, circuit, idle, main, pins, settled, trace, until
from tests.browser.visiting import Visit

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

PROMPT = "Hecho: Michael Jordan juega al"
FOCUS = """() => {
    let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    if (e.tagName === 'BODY' || e.tagName === 'MAIN') return '';
    const named = e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || '';
    return `${e.tagName} ${e.dataset.testid ?? ''} ${named}`;
}"""

TYPES_AT_ONCE = """(keys) => {
    const root = keys.getRootNode();
    keys.close();
    root.querySelector("input[type=search]").focus();
    return new Promise((seen) => setTimeout(() => seen(root.activeElement.type), 200));
}"""


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until the element in focus is the wanted one (tag, test id, name), and is visible."""
    for _ in range(400):  # where what has the focus is drawn anew, it starts at the top
        page.keyboard.press("Tab")
        if re.search(wanted, page.evaluate(FOCUS)):
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_the_graph_page_without_a_mouse(visit: Visit) -> None:
    page = visit()
    key = trace(page, PROMPT, 8)
    page = visit(f"/graph?graph={key}")
    settled(page)
    select_pin_and_group_on_the_canvas(page)
    tools_of_the_canvas(page)
    the_card(page)
    the_circuit(page)
    an_export(page)


def select_pin_and_group_on_the_canvas(page: Page) -> None:
    tab_to(page, "^CANVAS graph-canvas")
    press(page, "ArrowDown", "ArrowDown", "Enter")
    expect(card(page).get_by_role("button", name="Pin", exact=True)).to_be_visible()
    idle(page)
    press(page, "p")
    until(lambda: len(pins(page)) == 1)
    press(page, "Shift+ArrowUp", "Shift+Enter")
    assert len(ask(page, "selection()")) == 2
    press(page, "g")
    until(lambda: len(pins(page)) == 2)


def tools_of_the_canvas(page: Page) -> None:
    press(page, "?")
    keys = page.get_by_test_id("graph-keys")
    expect(keys).to_be_visible()
    assert keys.evaluate(TYPES_AT_ONCE) == "search", "what closes takes no focus later"
    canvas_of(page).press("?")
    press(page, "Escape", "/")
    page.keyboard.type("baloncesto")
    press(page, "Enter", "Escape")
    until(lambda: ask(page, "selected()") == "LOGIT_0")
    idle(page)


def the_card(page: Page) -> None:
    """A row of its inputs, by the table's own keys; a label, and away with it."""
    tab_to(page, "data-grid-canvas")
    press(page, "Shift+Space")
    until(lambda: ask(page, "selected()") != "LOGIT_0")
    idle(page)
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "^INPUT .*Label$")
    expect(card(page)).to_contain_text("Influence")
    page.keyboard.type("by hand")
    press(page, "Enter")
    expect(card(page)).to_contain_text(re.compile(r"by \w+, \d\d \w{3} \d{4}"))
    idle(page)
    tab_to(page, "take it away again")
    press(page, "Enter")
    expect(card(page)).not_to_contain_text(re.compile(r"by \w+, \d\d \w{3} \d{4}"))
    idle(page)


def the_circuit(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "Draw the circuit")
    press(page, "Space")
    group = main(page).get_by_role("textbox", name="Group 1: 2 nodes")
    expect(group).to_be_visible()
    idle(page)
    tab_to(page, "^INPUT .*Group 1: 2 nodes")
    press(page, "ControlOrMeta+a")
    page.keyboard.type("two")
    press(page, "Enter")
    expect(group).to_have_value("two")
    idle(page)
    page.evaluate("document.activeElement.blur()")
    undone = 0  # the name, the group, the pin; a key that comes while the button is drawn anew is lost
    while pins(page) != []:
        tab_to(page, "BUTTON stBaseButton-secondary ↶")
        press(page, "Enter")
        idle(page)
        page.evaluate("document.activeElement.blur()")
        undone += 1
        assert undone < 8
    expect(circuit(page)).to_contain_text("Nothing pinned yet")


def an_export(page: Page) -> None:
    tab_to(page, "^BUTTON .*Export")
    press(page, "Enter")
    expect(page.get_by_test_id("stPopoverBody")).to_be_visible()
    tab_to(page, "CSV: nodes")
    with page.expect_download() as waiting:
        press(page, "Enter")
    assert waiting.value.suggested_filename.endswith("-nodes.csv")


def test_the_library_without_a_mouse(visit: Visit) -> None:
    page = visit()
    key = trace(page, PROMPT, 8)
    page = visit("/library")
    idle(page)
    tab_to(page, "^INPUT .*Search$")
    page.keyboard.type("Hecho Michael")
    expect(main(page)).to_contain_text(re.compile(r"1 of [\d,]+ graphs"))
    idle(page)
    tab_to(page, "data-grid-canvas")
    press(page, "Shift+Space")
    expect(main(page).get_by_role("button", name="Delete", exact=True)).to_be_visible()
    idle(page)
    tab_to(page, "Open$")
    press(page, "Enter")
    expect(page).to_have_url(re.compile(f"graph={key}"))
    expect(card(page)).to_contain_text("No node selected")

"""Circuits and labels on the default model, in a real Chromium: pin, label, save, undo, group, share, two editors."""

import re

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from tests.browser.driver import (
    FEATURE,
    ask,
    canvas_of,
    card,
    circuit,
    clear_nodes,
    click_node,
    expect_card,
    idle,
    main,
    pins,
    press,
    short_link,
    switch_on,
    trace,
    until,
)
from tests.browser.visiting import Visit

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

PROMPT = "Hecho: Michael Jordan juega al"
HOSTILE = "<img src=x onerror=alert(1)> 球队"


def test_a_circuit_from_its_first_pin_to_two_editors(visit: Visit) -> None:
    page = visit()
    trace(page, PROMPT, 8)
    pin_label_save_and_open_the_link_elsewhere(visit, page)
    undo_redo_and_versions(page)
    group_two_and_see_them_drawn(page)
    two_who_edit_at_once_both_keep_their_work(visit, page)
    deleted_and_brought_back(page)
    take_the_label_away(page)


def pin_label_save_and_open_the_link_elsewhere(visit: Visit, page: Page) -> None:
    expect(circuit(page)).to_contain_text("Nothing pinned yet")
    ids = clear_nodes(page, FEATURE)[:3]
    for i, id in enumerate(ids):
        expect_card(page, click_node(page, id))
        if i == 2:
            canvas_of(page).press("p")
        else:
            press(page, "Pin")
        until(lambda i=i: len(pins(page)) == i + 1)
    assert pins(page) == ids
    label = card(page).get_by_role("textbox", name="Label")
    label.fill(HOSTILE)
    label.press("Enter")
    expect(card(page)).to_contain_text(re.compile(r"by \w+, \d\d \w{3} \d{4}"))
    until(lambda: HOSTILE in ask(page, "labels()").values())
    circuit(page).get_by_role("textbox", name="Title").fill("Ball games")
    circuit(page).get_by_role("textbox", name="Title").press("Enter")
    expect(circuit(page)).to_contain_text("not saved")
    press(page, "Save")
    expect(circuit(page)).to_contain_text("saved, version 1")

    other = visit(short_link(page))
    until(lambda: pins(other) == ids)
    assert ask(other, "selected()") == ids[-1]
    expect(other.locator(".st-key-circuit").get_by_role("textbox", name="Title")).to_have_value("Ball games")
    until(lambda: HOSTILE in ask(other, "labels()").values())
    expect(card(other).get_by_role("textbox", name="Label")).to_have_value(HOSTILE)


def undo_redo_and_versions(page: Page) -> None:
    before = pins(page)
    press(page, "Unpin")
    until(lambda: len(pins(page)) == len(before) - 1)
    expect(circuit(page)).to_contain_text("not saved")
    press(page, "↶")
    until(lambda: pins(page) == before)
    expect(circuit(page)).to_contain_text("saved, version 1")
    press(page, "↷")
    until(lambda: len(pins(page)) == len(before) - 1)
    press(page, "Save")
    expect(circuit(page)).to_contain_text("saved, version 2")
    expect(circuit(page).get_by_role("button", name="Restore", include_hidden=True)).to_have_count(2)
    idle(page)
    circuit(page).get_by_text("Versions", exact=True).click()
    circuit(page).get_by_role("button", name="Restore").last.click()
    expect(circuit(page)).to_contain_text("saved, version 3")
    until(lambda: pins(page) == before)


def group_two_and_see_them_drawn(page: Page) -> None:
    switch_on(page, "Draw the circuit, and make groups")
    expect(main(page)).to_contain_text("what the graph would explain if these 3 nodes were all that is known")
    field = main(page).get_by_role("combobox", name="Nodes to group")
    options = page.get_by_role("option", name=re.compile(r"^L\d"))

    tags = main(page).get_by_test_id("stMultiSelectTagsContainer").get_by_text(re.compile(r"^L\d"))

    def chosen(n: int) -> bool:
        """A click opens or closes the list, and another run of the page may close it in between."""
        idle(page)
        if tags.count() < n:
            if options.count() == 0:
                field.click()
                page.wait_for_timeout(300)
            try:
                options.first.click(timeout=2_000)
            except TimeoutError:
                return False
            page.wait_for_timeout(500)
        return tags.count() == n

    for n in (1, 2):
        until(lambda n=n: chosen(n))
    field.press("Escape")
    name = main(page).get_by_role("textbox", name="Name of the group")
    name.fill("two neurons")
    name.press("Enter")
    press(page, "Group")
    expect(main(page).get_by_role("textbox", name="Group 1: 2 nodes")).to_have_value("two neurons")
    frames = page.locator("iframe[title*='agraph']")  # the drawing before the group may still be there for a moment
    until(lambda: any(f.content_frame.locator("canvas").is_visible() for f in frames.all()))
    press(page, "Save")
    expect(circuit(page)).to_contain_text("saved, version 4")


def two_who_edit_at_once_both_keep_their_work(visit: Visit, page: Page) -> None:
    other = visit(short_link(page))
    until(lambda: pins(other) == pins(page))
    for tab, title in ((page, "mine"), (other, "theirs too")):
        field = tab.locator(".st-key-circuit").get_by_role("textbox", name="Title")
        field.fill(title)
        field.press("Enter")
        expect(tab.locator(".st-key-circuit")).to_contain_text("not saved")
        press(tab, "Save")
    expect(circuit(page)).to_contain_text("saved, version 5")
    expect(circuit(other)).to_contain_text("saved version 5 of this circuit in the meantime")
    expect(circuit(other)).to_contain_text("mine")
    press(other, "Keep mine")
    expect(circuit(other)).to_contain_text("saved, version 6")
    circuit(other).get_by_text("Versions", exact=True).click()
    expect(circuit(other)).to_contain_text("mine")


def deleted_and_brought_back(page: Page) -> None:
    press(page, "More")
    page.get_by_role("button", name="Delete the circuit").click()
    expect(circuit(page)).to_contain_text("not saved")
    circuit(page).get_by_role("button", name=re.compile("^Undo: bring back")).click()
    expect(circuit(page)).to_contain_text(re.compile("saved, version|not saved"))


def take_the_label_away(page: Page) -> None:
    """The server is shared: other tests know nodes by their own names."""
    label = card(page).get_by_role("textbox", name="Label")
    expect(label).to_have_value(HOSTILE)
    label.fill("")
    label.press("Enter")
    until(lambda: HOSTILE not in ask(page, "labels()").values())


def test_a_link_to_nothing_says_so(visit: Visit) -> None:
    page = visit("/graph?circuit=123456789abc")
    expect(main(page)).to_contain_text("can't be opened: there is no such record")

"""The tools of the canvas on a real graph of the default model: what they tell the circuit, and what they write."""

import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driver import (
    FEATURE,
    ask,
    canvas_of,
    choose,
    clear_nodes,
    idle,
    main,
    search_paths,
    settled,
    switch_on,
    trace,
    until,
)
from tests.browser.looks import themes
from tests.browser.serving import Visit

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

PROMPT = "Hecho: Michael Jordan juega al"


def test_canvas_tools_on_a_real_graph(visit: Visit) -> None:
    page = visit()
    trace(page, PROMPT, 8)
    settled(page)
    several_are_grouped_and_undone(page)
    a_node_is_dragged_into_a_group_and_undone(page)
    several_are_pinned_as_one_change(page)
    what_is_hidden_is_counted(page)
    paths_lead_to_the_answer(page)
    the_picture_names_the_model(page)
    it_fits(visit, page)


def several_are_grouped_and_undone(page: Page) -> None:
    ids = choose(page, clear_nodes(page, FEATURE)[:2])
    canvas_of(page).press("g")
    until(lambda: set(ask(page, "pins()")) == set(ids))
    assert ask(page, "selection()") == ids, "the selection stays"
    drawing = "Draw the circuit, and make groups"
    switch_on(page, drawing)
    expect(main(page).get_by_role("textbox", name="Group 1: 2 nodes")).to_have_value("group 1")
    idle(page)
    main(page).get_by_text(drawing).click()
    main(page).get_by_role("button", name="↶", exact=True).click()
    until(lambda: ask(page, "pins()") == [])


def a_node_is_dragged_into_a_group_and_undone(page: Page) -> None:
    """Two make a group; a third that is dropped on one of them joins it. Each is one change."""
    canvas_of(page).press("Escape")
    idle(page)
    first, second, third = clear_nodes(page, FEATURE)[:3]
    drop(page, first, second)
    until(lambda: set(ask(page, "pins()")) == {first, second})
    idle(page)
    drop(page, third, first)
    until(lambda: set(ask(page, "pins()")) == {first, second, third})
    idle(page)
    drawing = "Draw the circuit, and make groups"
    switch_on(page, drawing)
    expect(main(page).get_by_role("textbox", name="Group 1: 3 nodes")).to_have_value("group 1")
    drawing.click()
    for left in ({first, second}, set()):
        main(page).get_by_role("button", name="↶", exact=True).click()
        until(lambda left=left: set(ask(page, "pins()")) == left)


def drop(page: Page, node: str, onto: str) -> None:
    places = {"source_position": ask(page, "position(argument)", node)}
    canvas_of(page).drag_to(canvas_of(page), **places, target_position=ask(page, "position(argument)", onto))


def several_are_pinned_as_one_change(page: Page) -> None:
    ids = choose(page, clear_nodes(page, FEATURE)[:3])
    canvas_of(page).press("p")
    until(lambda: ask(page, "pins()") == ids)
    main(page).get_by_role("button", name="↶", exact=True).click()
    until(lambda: ask(page, "pins()") == [])


def what_is_hidden_is_counted(page: Page) -> None:
    canvas_of(page).press("Escape")
    page.get_by_role("button", name="Filter:").click()
    panel = page.get_by_test_id("graph-filter")
    panel.get_by_label("Errors").check()
    panel.get_by_label("half of the positions or more").check()
    hidden = ask(page, "hidden()")
    assert hidden
    counted = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) (?:error|feature)s?", status(page))]
    assert sum(counted) == len(hidden)
    panel.get_by_role("button", name="Reset").click()
    assert ask(page, "hidden()") == []
    page.keyboard.press("Escape")


def status(page: Page) -> str:
    return page.get_by_test_id("graph-status").inner_text()


def paths_lead_to_the_answer(page: Page) -> None:
    """From a token to the likeliest answer; the products are those of the links' shares, strongest first."""
    paths = search_paths(page, "Jordan", "baloncesto")
    end, start = ask(page, "selection()")
    assert end == "LOGIT_0"
    assert 1 <= len(paths) <= 5
    assert all(path["nodes"][0] == start and path["nodes"][-1] == end for path in paths)
    sizes = [abs(path["weight"]) for path in paths]
    assert sizes == sorted(sizes, reverse=True) and 0 < sizes[-1] < sizes[0] < 1
    expect(page.get_by_test_id("graph-paths").get_by_role("listitem")).to_have_count(len(paths))
    canvas_of(page).press("Escape")
    canvas_of(page).press("Escape")


def the_picture_names_the_model(page: Page) -> None:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="as SVG").click()
    written = waiting.value.path().read_text("utf-8")
    assert "gemma-3-270m" in written and "Gemma" in written and "baloncesto" in written
    assert re.fullmatch(r"hypograph-[0-9a-f]{8}\.svg", waiting.value.suggested_filename)


def it_fits(visit: Visit, page: Page) -> None:
    """At both widths, in both themes, with a node selected; the screenshots are for a person to look at."""
    address = urlsplit(page.url)
    other = visit(f"{address.path}?{address.query}&select=LOGIT_0")
    settled(other)
    until(lambda: ask(other, "selected()") == "LOGIT_0")
    for width in (1440, 390):
        other.set_viewport_size({"width": width, "height": 1000})
        other.wait_for_timeout(500)
        assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
        canvas_of(other).scroll_into_view_if_needed()
        for theme in themes(other):
            other.screenshot(path=Path(tempfile.gettempdir()) / f"explorer_{theme}_{width}.png")

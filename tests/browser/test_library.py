"""The Library in a real Chromium: files brought in, searched, opened, deleted and brought back; two graphs compared."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.driver import SPORT, ask, canvas_of, card_name, main, trace, until
from tests.tracer.interchange.test_frontend_reader import small

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

SPANISH = "Hecho: Michael Jordan juega al"
HOSTILE = "<img src=x onerror=alert(1)>"


def zebra(n: int) -> dict:
    """A small graph of its own prompt, with a pin and a label."""
    document = small()
    document["metadata"] |= {"prompt": f"zebra {n} {HOSTILE}", "prompt_tokens": ["ze", "bra", HOSTILE]}
    document["nodes"][1]["clerp"] = f"{HOSTILE} {n}"
    document["qParams"] = {"pinnedIds": ["1_9_2"], "supernodes": []}
    return document


def tab(page: Page, name: str) -> None:
    main(page).get_by_role("tab", name=name).click()


def search(page: Page, text: str) -> None:
    field = main(page).get_by_role("textbox", name="Search", exact=True)
    field.fill(text)
    field.press("Enter")


def table(page: Page) -> Locator:
    return main(page).get_by_test_id("stDataFrame").locator("visible=true").first


def pick(page: Page, row: int) -> None:
    """The box in front of a row."""
    table(page).click(position={"x": 15, "y": 52 + 35 * row})


def test_files_in_search_open_delete_undo_compare(visit: Visit, tmp_path: Path) -> None:
    page = visit("/library")
    bring_in_a_file_and_a_text(page, tmp_path)
    search_and_open(page)
    delete_and_bring_back(page)
    compare_the_two(page)
    clean_up(page)


def bring_in_a_file_and_a_text(page: Page, folder: Path) -> None:
    tab(page, "Import")
    (folder / "one.json").write_text(json.dumps(zebra(1)))
    main(page).locator("input[type=file]").set_input_files(folder / "one.json")
    expect(main(page)).to_contain_text("Imported, with 1 pins, 0 groups, 1 labels.")
    main(page).get_by_role("button", name="Take its 1 labels into this lab").click()
    expect(main(page)).to_contain_text("1 labels taken")
    page.goto(page.url)
    tab(page, "Import")
    text = main(page).get_by_role("textbox", name="Or the text of a JSON file")
    text.fill("[" * 2000)
    main(page).get_by_role("button", name="Import the text").click()
    expect(main(page)).to_contain_text("Not imported: the file has lists or objects nested deeper than 50")
    text.fill(json.dumps(zebra(2)))
    main(page).get_by_role("button", name="Import the text").click()
    expect(main(page)).to_contain_text("Imported, with 1 pins, 0 groups, 1 labels.")


def search_and_open(page: Page) -> None:
    tab(page, "Graphs")
    search(page, "zebra")
    expect(main(page)).to_contain_text(re.compile(r"^.*2 of [\d,]+ graphs", re.S))
    search(page, "zebra onerror=alert(1)> 1")  # by its label: the prompt of the other has no 1 but that of the tag
    search(page, "zebra 2")
    expect(main(page)).to_contain_text(re.compile(r"^.*1 of [\d,]+ graphs", re.S))
    pick(page, 0)
    main(page).get_by_role("link", name="Open", exact=True).click()
    expect(main(page)).to_contain_text("Attribution graph")
    canvas_of(page).wait_for()
    until(lambda: "1_9_2" in ask(page, "ids()"))
    assert ask(page, "pins()") == []  # another visit: the draft was that tab's
    page.go_back()
    expect(main(page).get_by_role("heading", name="Library")).to_be_visible()


def delete_and_bring_back(page: Page) -> None:
    search(page, "zebra 2")
    expect(main(page)).to_contain_text(re.compile(r"^.*1 of [\d,]+ graphs", re.S))
    pick(page, 0)
    main(page).get_by_role("button", name="Delete", exact=True).click()
    expect(main(page)).to_contain_text("No graph fits the search.")
    expect(main(page)).to_contain_text(f"Deleted: zebra 2 {HOSTILE}")
    main(page).get_by_role("button", name="Undo", exact=True).click()
    expect(main(page)).to_contain_text(re.compile(r"^.*1 of [\d,]+ graphs", re.S))


def compare_the_two(page: Page) -> None:
    search(page, "zebra")
    expect(main(page)).to_contain_text(re.compile(r"^.*2 of [\d,]+ graphs", re.S))
    pick(page, 0)
    pick(page, 1)
    main(page).get_by_role("link", name="Compare the two graphs").click()
    expect(main(page).get_by_role("heading", name="Two graphs compared")).to_be_visible()
    expect(page).to_have_url(re.compile(r"left=[0-9a-f]{64}&right=[0-9a-f]{64}"))
    expect(main(page)).to_contain_text("2 of 2 features")
    before = re.findall(r"=([0-9a-f]{64})", page.url)
    main(page).get_by_role("link", name="Swap the sides").click()
    until(lambda: re.findall(r"=([0-9a-f]{64})", page.url) == before[::-1])
    main(page).get_by_role("link", name="Back to the Library").click()
    expect(main(page).get_by_role("heading", name="Library")).to_be_visible()


def clean_up(page: Page) -> None:
    """Other tests count graphs."""
    for _ in range(2):
        search(page, "zebra")
        expect(main(page)).to_contain_text(re.compile(r"^.*\d of [\d,]+ graphs", re.S))
        pick(page, 0)
        main(page).get_by_role("button", name="Delete", exact=True).click()
        expect(main(page)).to_contain_text("Deleted: zebra")
    search(page, "zebra")
    expect(main(page)).to_contain_text("No graph fits the search.")


def test_english_against_spanish(visit: Visit) -> None:
    """DESIGN §9: neuron 1012 of layer 13 leads both prompts; its row leads into both graphs."""
    page = visit()
    left = trace(page, SPORT, 7)
    page = visit()
    right = trace(page, SPANISH, 8)
    page = visit(f"/library?left={left}&right={right}")
    expect(main(page)).to_contain_text("Explains ␣basketball")
    expect(main(page)).to_contain_text("Explains ␣baloncesto")
    expect(main(page).get_by_test_id("stVegaLiteChart").first).to_be_visible()
    features = main(page).get_by_test_id("stDataFrame").last
    features.scroll_into_view_if_needed()
    features.click(position={"x": 15, "y": 52})
    link = main(page).get_by_role("link", name="L13 · 1012 in the graph on the right")
    expect(main(page).get_by_role("link", name="L13 · 1012 in the graph on the left")).to_be_visible()
    link.click()
    expect(page).to_have_url(re.compile(rf"graph={right}&select=13_1012_\d+"))
    expect(card_name(page)).to_contain_text("L13 · 1012")
    page.go_back()
    expect(main(page).get_by_role("heading", name="Two graphs compared")).to_be_visible()
    main(page).get_by_role("textbox", name="Search", exact=True).fill("13/1012")
    expect(main(page)).to_contain_text(re.compile(r"\b1 of [\d,]+ features"))


def test_a_comparison_with_nothing(visit: Visit) -> None:
    page = visit("/library?left=0&right=%3Cb%3E1")
    expect(main(page)).to_contain_text("The graph on the left is not in this machine's cache")
    expect(main(page)).to_contain_text("The graph on the right is not in this machine's cache")

"""The Library in a real Chromium: files brought in, searched, opened, deleted and brought back; two graphs compared."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import SPORT, ask, canvas_of, card_name, idle, main, pick, tab, trace, until
from tests.browser.looks import WIDE, flaws
from tests.browser.visiting import Visit, visiting
from tests.serving import Server
from tests.tracer.interchange.test_frontend_reader import small

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

SPANISH = "Hecho: Michael Jordan juega al"
HOSTILE = "<img src=x onerror=alert(1)>"


def zebra(n: str) -> dict:
    """A small graph of its own prompt, with a pin and a label."""
    document = small()
    document["metadata"] |= {"prompt": f"zebra {n} {HOSTILE}", "prompt_tokens": ["ze", "bra", HOSTILE]}
    document["nodes"][1]["clerp"] = f"{HOSTILE} stripes {n}"
    document["qParams"] = {"pinnedIds": ["1_9_2"], "supernodes": []}
    return document


def search(page: Page, text: str) -> None:
    """By way of a search for nothing that is there, so that what is shown afterwards is the answer to this one."""
    idle(page)  # a page that was left may still be there
    field = main(page).get_by_role("textbox", name="Search", exact=True)
    for words in ("nothing like that", text):
        field.fill(words)
        field.press("Enter")
        if words != text:
            expect(main(page)).to_contain_text("No graph fits the search.")


def shown(page: Page, n: int) -> None:
    expect(main(page).get_by_text(re.compile(rf"^{n} of [\d,]+ graphs"))).to_be_visible()


def test_files_in_search_open_delete_undo_compare(visit: Visit, tmp_path: Path) -> None:
    page = visit("/library")
    bring_in_a_file_and_a_text(page, tmp_path)
    search_and_open(page)
    delete_and_bring_back(page)
    export_with_the_label(page)
    compare_the_two(page)
    clean_up(page)


def bring_in_a_file_and_a_text(page: Page, folder: Path) -> None:
    tab(page, "Import")
    (folder / "one.json").write_text(json.dumps(zebra("first")))
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
    text.fill(json.dumps(zebra("second")))
    main(page).get_by_role("button", name="Import the text").click()
    expect(main(page)).to_contain_text("Imported, with 1 pins, 0 groups, 1 labels.")


def search_and_open(page: Page) -> None:
    tab(page, "Graphs")
    search(page, "zebra")
    shown(page, 2)
    search(page, "stripes")  # the label that was taken from one file; that of the other stayed there
    shown(page, 1)
    search(page, "zebra second")
    shown(page, 1)
    pick(page, 0)
    main(page).get_by_role("link", name=re.compile("Open$")).click()
    expect(main(page)).to_contain_text("Attribution graph")
    canvas_of(page).wait_for()
    until(lambda: "1_9_2" in ask(page, "ids()"))
    until(lambda: ask(page, "pins()") == ["1_9_2"])
    idle(page)
    page.go_back()
    expect(main(page).get_by_role("heading", name="Library")).to_be_visible()


def delete_and_bring_back(page: Page) -> None:
    search(page, "zebra second")
    shown(page, 1)
    pick(page, 0)
    main(page).get_by_role("button", name="Delete", exact=True).click()
    expect(main(page)).to_contain_text("No graph fits the search.")
    expect(main(page)).to_contain_text(f"Deleted: zebra second {HOSTILE}")
    main(page).get_by_role("button", name="Undo", exact=True).click()
    shown(page, 1)


def export_with_the_label(page: Page) -> None:
    search(page, "zebra first")
    shown(page, 1)
    pick(page, 0)
    main(page).get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON: Neuronpedia").click()
    document = json.loads(download.value.path().read_text("utf-8"))
    labels = {node["node_id"]: node["clerp"] for node in document["nodes"] if node["clerp"]}
    assert labels["1_9_2"] == f"{HOSTILE} stripes first" and document["metadata"]["prompt"] == f"zebra first {HOSTILE}"
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV: nodes").click()
    assert f"{HOSTILE} stripes first" in download.value.path().read_text("utf-8")
    page.keyboard.press("Escape")


def compare_the_two(page: Page) -> None:
    search(page, "zebra")
    shown(page, 2)
    pick(page, 0)
    pick(page, 1)
    main(page).get_by_role("button", name="Compare the two graphs").click()
    expect(main(page).get_by_role("heading", name="Two graphs compared")).to_be_visible()
    expect(page).to_have_url(re.compile(r"left=[0-9a-f]{64}&right=[0-9a-f]{64}"))
    expect(main(page)).to_contain_text("2 of 2 features")
    left, right = re.findall(r"=([0-9a-f]{64})", page.url)
    main(page).get_by_role("button", name="Swap the sides").click()
    expect(page).to_have_url(re.compile(f"left={right}&right={left}"))
    main(page).get_by_role("button", name="Back to the Library").click()
    expect(main(page).get_by_role("heading", name="Library")).to_be_visible()
    idle(page)
    page.go_back()
    expect(main(page).get_by_role("heading", name="Two graphs compared")).to_be_visible()
    idle(page)
    page.go_forward()
    expect(main(page).get_by_role("heading", name="Library")).to_be_visible()


def clean_up(page: Page) -> None:
    """Other tests count graphs."""
    for left in (2, 1):
        search(page, "zebra")
        shown(page, left)
        pick(page, 0)
        main(page).get_by_role("button", name="Delete", exact=True).click()
        expect(main(page)).to_contain_text("Deleted: zebra")
    search(page, "zebra")
    page.wait_for_timeout(1000)  # time for an answer that should not come
    expect(main(page)).to_contain_text("No graph fits the search.")


def test_english_against_spanish(visit: Visit, two: tuple[str, str]) -> None:
    """DESIGN §9: neuron 1012 of layer 13 leads both prompts; its row leads into both graphs."""
    left, right = two
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
    idle(page)
    page.go_back()
    expect(main(page).get_by_role("heading", name="Two graphs compared")).to_be_visible()
    idle(page)
    main(page).get_by_role("textbox", name="Search", exact=True).fill("13/1012")
    expect(main(page).get_by_text(re.compile(r"^1 of [\d,]+ features"))).to_be_visible()


@pytest.fixture(scope="module")
def two(server: Server, chromium: Browser) -> tuple[str, str]:
    """Keys of two graphs that are cached."""
    with visiting(chromium, server.address) as visit:
        return trace(visit(), SPORT, 7), trace(visit(), SPANISH, 8)


def test_axe_finds_no_serious_violation(visit: Visit, two: tuple[str, str], axe: str) -> None:
    page = visit("/library")
    found = flaws(page, axe, "library")
    tab(page, "Import")
    found += flaws(page, axe, "import")
    page = visit(f"/library?left={two[0]}&right={two[1]}")
    expect(main(page).get_by_test_id("stVegaLiteChart").first).to_be_visible()
    found += flaws(page, axe, "comparison")
    assert found == []


def test_narrow_screens_do_not_scroll_sideways(visit: Visit, two: tuple[str, str]) -> None:
    for path in ("/library", f"/library?left={two[0]}&right={two[1]}"):
        page = visit(path, width=390, height=844)
        page.wait_for_timeout(1500)
        assert page.evaluate(WIDE) == [], path


def test_a_comparison_with_nothing(visit: Visit) -> None:
    page = visit("/library?left=0&right=%3Cb%3E1")
    expect(main(page)).to_contain_text("The graph on the left is not in this machine's cache")
    expect(main(page)).to_contain_text("The graph on the right is not in this machine's cache")

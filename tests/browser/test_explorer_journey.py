"""A researcher's day on the default model, in one piece: from an empty data folder to a server that was killed."""

import csv
import gzip
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import (
    FEATURE,
    ask,
    canvas_of,
    card,
    choose,
    circuit,
    clear_nodes,
    click_node,
    expect_card,
    idle,
    main,
    pick,
    pins,
    press,
    search_paths,
    settled,
    short_link,
    sidebar,
    switch_on,
    tab,
    trace,
    until,
)
from tests.browser.looks import CUT, WIDE, flaws
from tests.browser.visiting import Visit, visiting
from tests.service.test_upload import StandIn, site
from tests.serving import Server, free_port, serving
from tracer.interchange import schema

__all__ = ["site"]
pytestmark = [pytest.mark.browser, pytest.mark.default_model]

ENGLISH, SPANISH = "The capital of France is the city of", "La capital de Francia es la ciudad de"
LABEL, WITHOUT = "capitals <b>of</b> countries, ask ann@lab.org", "capitals <b>of</b> countries, ask (e-mail left out)"
NOTE = "Does it read France or capital?"
KEY = "s3cret-key"
TABLES = "nodes", "edges"
NODES = "Nodes: share of influence kept"


class Lab:
    """Its data folder outlives its server."""

    def __init__(self, chromium: Browser, home: Path, site: StandIn) -> None:
        self.chromium, self.home, self.site = chromium, home, site
        self.port = free_port()
        self.stack = ExitStack()

    def start(self, dashboards: str) -> tuple[Server, Visit]:
        settings = {"NEURONPEDIA_API_KEY": KEY, "HYPOGRAPH_NEURONPEDIA": self.site.address}
        settings["HYPOGRAPH_DASHBOARDS"] = dashboards
        server = self.stack.enter_context(serving(self.home, port=self.port, **settings))
        return server, self.stack.enter_context(visiting(self.chromium, server.address))


@pytest.fixture
def lab(chromium: Browser, store: Path, tmp_path: Path, site: StandIn) -> Iterator[Lab]:
    """Empty but for the converted model."""
    (tmp_path / "models").symlink_to(store.resolve())
    lab = Lab(chromium, tmp_path, site)
    with lab.stack:
        yield lab


def test_from_an_empty_folder_to_a_server_that_was_killed(lab: Lab, axe: str, tmp_path: Path) -> None:
    server, visit = lab.start("0")  # collecting them takes all the time that is left
    page = visit()
    english = trace(page, ENGLISH, 9)
    settled(page)
    read_a_card(page)
    filter_search_and_follow_paths(page)
    pin_label_group_undo_redo(page)
    accept_a_suggested_group(page, axe)
    prune_again_and_save(page)
    link = short_link(page)
    page.close()
    page = visit(link)
    find_all_of_it(page)
    it_fits_a_phone(page)
    file = export_everything(page, tmp_path)
    upload(page, lab.site)
    import_the_file(page, file)
    spanish = trace_another(page)
    compare(page, english, spanish)
    delete_and_undo(page)
    export_the_circuit(page)
    save_once_more(page, link)
    server.kill()
    _, visit = lab.start("1")
    page = visit(link)
    nothing_is_lost(page)
    what_it_fires_on(page)


def read_a_card(page: Page) -> None:
    expect_card(page, click_node(page, clear_nodes(page, FEATURE)[0]))
    for part in ("Inputs", "Activation at each token", "What it says"):
        expect(card(page)).to_contain_text(part)


def filter_search_and_follow_paths(page: Page) -> None:
    n = len(ask(page, "ids()"))
    page.get_by_role("button", name="Filter:").click()
    page.get_by_test_id("graph-filter").get_by_label("Errors").check()
    status = page.get_by_test_id("graph-status")
    expect(status).to_contain_text(re.compile(r"hidden: \d+ errors"))
    assert 0 < len(ask(page, "hidden()")) < n
    page.get_by_test_id("graph-filter").get_by_role("button", name="Reset").click()
    page.keyboard.press("Escape")
    page.get_by_label("How many edges").select_option(label="3 strongest")
    expect(status).to_contain_text("the 3 strongest of")
    assert len(ask(page, "links()")) == 3
    page.get_by_label("How many edges").select_option(label="all edges")

    canvas_of(page).press("Escape")
    paths = search_paths(page, "France", "Paris")
    assert ask(page, "selection()")[0] == "LOGIT_0" and 1 <= len(paths) <= 5
    expect(page.get_by_test_id("graph-paths").get_by_role("listitem")).to_have_count(len(paths))
    canvas_of(page).press("Escape")
    canvas_of(page).press("Escape")


def pin_label_group_undo_redo(page: Page) -> None:
    idle(page)
    press(page, "Pin the 12 most influential features")
    until(lambda: len(pins(page)) == 13)
    strongest = pins(page)
    other = next(id for id in clear_nodes(page, FEATURE) if id not in strongest)
    expect_card(page, click_node(page, other))
    canvas_of(page).press("p")
    until(lambda: len(pins(page)) == 14)
    field = card(page).get_by_role("textbox", name="Label")
    field.fill(LABEL)
    field.press("Enter")
    until(lambda: LABEL in ask(page, "labels()").values())
    expect(card(page)).to_contain_text(re.compile(r"by \w+, \d\d \w{3} \d{4}"))

    choose(page, [id for id in clear_nodes(page, FEATURE) if id in strongest][:2])
    canvas_of(page).press("g")
    switch_on(page, "Draw the circuit, and make groups")
    group = main(page).get_by_role("textbox", name="Group 1: 2 nodes")
    expect(group).to_have_value("group 1")
    idle(page)
    press(page, "↶")
    expect(group).to_have_count(0)
    idle(page)  # the drawing above goes, and the buttons move
    press(page, "↷")
    expect(group).to_have_value("group 1")


def accept_a_suggested_group(page: Page, axe: str) -> None:
    switch_on(page, "Suggest groups")
    accept = main(page).get_by_role("button", name="Accept", exact=True)
    expect(accept.first).to_be_visible(timeout=60_000)
    expect(main(page).get_by_text(re.compile("Why: (each|they) ")).first).to_be_visible()
    assert flaws(page, axe, "circuit, suggestions") == []
    idle(page)
    accept.first.click()
    group = main(page).get_by_role("textbox", name=re.compile(r"^Group 2: \d+ nodes$"))
    expect(group).to_be_visible()
    for button, n in (("↶", 0), ("↷", 1)):
        idle(page)
        press(page, button)
        expect(group).to_have_count(n)


def prune_again_and_save(page: Page) -> None:
    canvas_of(page).press("Escape")
    idle(page)
    known = labelled(page)
    click_node(page, next(id for id in clear_nodes(page, FEATURE) if id in known))
    expect(card(page).get_by_role("textbox", name="Label")).to_have_value(LABEL)
    n, slider = len(ask(page, "ids()")), page.get_by_role("slider", name=NODES)
    for _ in range(2):
        slider.press("ArrowLeft")
        idle(page)
    expect(page).to_have_url(re.compile(r"nodes=0\.78"))
    assert settled(page) < n
    title, notes = (circuit(page).get_by_role("textbox", name=name) for name in ("Title", "Notes"))
    title.fill("Capitals")
    title.press("Tab")
    notes.fill(NOTE)  # before the page has answered
    expect(circuit(page)).to_contain_text("not saved")
    page.wait_for_timeout(1000)
    idle(page)
    expect(notes).to_have_value(NOTE)
    notes.press("Tab")
    idle(page)
    press(page, "Save")
    expect(circuit(page)).to_contain_text("saved, version 1")


def labelled(page: Page) -> list[str]:
    return [id for id, text in ask(page, "labels()").items() if text == LABEL]


def find_all_of_it(page: Page, title: str = "Capitals") -> None:
    until(lambda: len(pins(page)) == 14)
    assert ask(page, "selected()") in labelled(page)
    expect(card(page).get_by_role("textbox", name="Label")).to_have_value(LABEL)
    expect(page.get_by_role("slider", name=NODES)).to_have_value("0.78")
    expect(circuit(page).get_by_role("textbox", name="Title")).to_have_value(title)
    expect(circuit(page).get_by_role("textbox", name="Notes")).to_have_value(NOTE)
    switch_on(page, "Draw the circuit, and make groups")
    expect(main(page).get_by_role("textbox", name="Group 1: 2 nodes")).to_have_value("group 1")
    expect(main(page).get_by_role("textbox", name=re.compile("^Group 2: "))).to_be_visible()


def it_fits_a_phone(page: Page) -> None:
    """Card, circuit, drawing, groups and suggestions: nothing scrolls sideways, no button is cut."""
    idle(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(1000)
    assert page.evaluate(WIDE) == [] and page.evaluate(CUT) == []
    page.set_viewport_size({"width": 1440, "height": 1000})


def download(page: Page, button: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    return waiting.value.path().read_bytes()


def export_everything(page: Page, folder: Path) -> Path:
    idle(page)
    svg, png = download(page, "is seen as SVG"), download(page, "is seen as PNG")
    assert b"gemma-3-270m" in svg and "Paris" in svg.decode() and png.startswith(b"\x89PNG")
    press(page, "Export")
    nodes, edges = (list(csv.DictReader(download(page, f"CSV: {what}").decode().splitlines())) for what in TABLES)
    assert len(nodes) == len(ask(page, "ids()")) and WITHOUT in {row["label"] for row in nodes}
    known = {row["id"] for row in nodes}
    assert edges and all(row["source"] in known and row["target"] in known for row in edges)
    file = folder / "graph.json"
    file.write_bytes(download(page, "JSON: Neuronpedia"))
    schema.check(file.read_bytes())
    holds_all(json.loads(file.read_bytes()), WITHOUT)
    return file


def holds_all(document: dict[str, Any], label: str) -> None:
    """Labels, pins, groups, model and terms; and no address in it but that of `label`."""
    assert label in {node["clerp"] for node in document["nodes"]}
    shown = document["qParams"]
    assert len(shown["pinnedIds"]) == 14 and len(shown["supernodes"]) == 2
    assert shown["supernodes"][0][0] == "group 1"
    metadata = document["metadata"]
    assert metadata["prompt"] == ENGLISH and "gemma-3-270m" in metadata["scan"]
    assert "Gemma" in metadata["licence"] and "Gemma Terms of Use" in metadata["notice"]
    assert ("@" in json.dumps(document["nodes"]) + json.dumps(shown)) == ("@" in label)


def upload(page: Page, site: StandIn) -> None:
    """In the same menu: it says what goes where, asks, and sends the file; the key is nowhere on the page."""
    menu = page.get_by_test_id("stPopoverBody")
    menu.get_by_text("Upload to 127.0.0.1").click()
    expect(menu).to_contain_text(f"its prompt “{ENGLISH}”")
    send = menu.get_by_role("button", name="Upload", exact=True)
    expect(send).to_be_disabled()
    for name, text in (("Name of the graph there", "a-graph"), ("What the model is called there", "tiny")):
        menu.get_by_role("textbox", name=name).fill(text)
        menu.get_by_role("textbox", name=name).press("Enter")
    expect(menu).to_contain_text("of model tiny")
    idle(page)
    menu.get_by_text("Send this, for everybody to read").click()
    expect(send).to_be_enabled()
    assert site.seen == []
    send.click()
    expect(menu).to_contain_text("Uploaded.")
    expect(menu.get_by_role("link", name="Open it there")).to_have_attribute(
        "href", f"{site.address}/tiny/graph?slug=a-graph"
    )
    (sent,) = [gzip.decompress(body) for method, _, _, body in site.seen if method == "PUT"]
    schema.check(sent)
    document = json.loads(sent)
    assert document["metadata"]["scan"] == "tiny"
    assert WITHOUT in {node["clerp"] for node in document["nodes"]} and b"ann@lab.org" not in sent
    assert KEY not in page.content()
    page.keyboard.press("Escape")


def import_the_file(page: Page, file: Path) -> None:
    idle(page)
    sidebar(page).get_by_role("link", name="Library").click()
    expect(main(page).get_by_role("heading", name="Library")).to_be_visible()
    idle(page)
    tab(page, "Import")
    main(page).locator("input[type=file]").set_input_files(file)
    expect(main(page)).to_contain_text(re.compile(r"Imported, with 14 pins, 2 groups, [1-9]\d* labels\."))
    idle(page)
    main(page).get_by_role("link", name=re.compile("Open the graph$")).click()
    canvas_of(page).wait_for()
    until(lambda: len(pins(page)) == 14)


def trace_another(page: Page) -> str:
    idle(page)
    sidebar(page).get_by_role("link", name="Trace", exact=True).click()
    expect(main(page).get_by_role("heading", name="Trace a prompt")).to_be_visible()
    idle(page)
    return trace(page, SPANISH, 9)


def compare(page: Page, english: str, spanish: str) -> None:
    """The newest is on top: the Spanish one, the imported one, the English one."""
    idle(page)
    sidebar(page).get_by_role("link", name="Library").click()
    expect(main(page).get_by_text(re.compile("^3 of 3 graphs"))).to_be_visible()
    idle(page)
    pick(page, 0)
    pick(page, 2)
    main(page).get_by_role("button", name="Compare the two graphs").click()
    expect(main(page).get_by_test_id("stVegaLiteChart").first).to_be_visible()
    expect(page).to_have_url(re.compile(f"left={spanish}&right={english}"))
    expect(main(page)).to_contain_text("Explains ␣Paris")
    shared = main(page).get_by_test_id("stMetric").filter(has_text="Shared features")
    expect(shared).to_contain_text(re.compile(r"[1-9]"))
    idle(page)
    main(page).get_by_role("button", name="Back to the Library").click()
    expect(main(page).get_by_role("heading", name="Library")).to_be_visible()


def delete_and_undo(page: Page) -> None:
    """The graph and the circuit."""
    for name, gone in (("Graphs", "2 of 2 graphs"), ("Circuits", "No circuits yet")):
        idle(page)
        tab(page, name)
        pick(page, 0)
        visible(page, "Delete").click()
        expect(main(page)).to_contain_text("Deleted: ")
        expect(main(page).get_by_text(gone)).to_be_visible()
        idle(page)
        visible(page, "Undo").click()
        expect(main(page).get_by_text(gone)).not_to_be_visible()


def visible(page: Page, button: str) -> Any:
    """Of the tab that is open."""
    return main(page).get_by_role("button", name=button, exact=True).locator("visible=true")


def export_the_circuit(page: Page) -> None:
    """From the Library's list: all that is saved goes along, an e-mail address only when that is ticked."""
    idle(page)
    pick(page, 0)
    visible(page, "Export").click()
    document = json.loads(download(page, "JSON: Neuronpedia"))
    holds_all(document, WITHOUT)
    page.get_by_test_id("stPopoverBody").get_by_text("With e-mail addresses").click()
    idle(page)
    holds_all(json.loads(download(page, "JSON: Neuronpedia")), LABEL)
    page.keyboard.press("Escape")


def save_once_more(page: Page, link: str) -> None:
    idle(page)
    page.goto(page.url.split("/library")[0] + link)
    until(lambda: len(pins(page)) == 14)
    circuit(page).get_by_role("textbox", name="Title").fill("Capitals of the world")
    circuit(page).get_by_role("textbox", name="Title").press("Enter")
    expect(circuit(page)).to_contain_text("not saved")
    press(page, "Save")
    expect(circuit(page)).to_contain_text("saved, version 2")


def nothing_is_lost(page: Page) -> None:
    find_all_of_it(page, title="Capitals of the world")
    expect(circuit(page)).to_contain_text("saved, version 2")


def what_it_fires_on(page: Page) -> None:
    """It is still being collected, from the moment the model was loaded; the card says how far."""
    expect(card(page)).to_contain_text("What it fires on")
    progress = re.compile(r"\d% of the corpus read so far|tokens of the corpus are")
    expect(card(page)).to_contain_text(progress, timeout=60_000)

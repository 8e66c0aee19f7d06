"""How long a person waits for each interaction of the explorer, on a real graph: medians, printed when the run ends.

The driver's own time, some milliseconds, is in them. How long it takes is asserted nowhere (README has a table).
"""

import json
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Page, expect

from tests.browser.driver import (
    FEATURE,
    ask,
    canvas_of,
    card,
    card_name,
    chips,
    choose,
    circuit,
    clear_nodes,
    idle,
    main,
    pick,
    pins,
    press,
    settled,
    short_link,
    switch_on,
    tab,
    trace,
    until,
)
from tests.browser.visiting import Visit
from tests.tracer.interchange.test_frontend_reader import small

pytestmark = [pytest.mark.browser, pytest.mark.default_model, pytest.mark.soak]

ENGLISH, SPANISH = "The capital of France is the city of", "La capital de Francia es la ciudad de"
SAMPLES = range(5)
TRIED = "Activation of this feature at each token of your text"
DRAWING = "Draw the circuit, and make groups"


class Watch:
    """Seconds by interaction."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.took[name].append(time.perf_counter() - start)

    def report(self, record: Callable[[str, object], None]) -> None:
        for name, took in self.took.items():
            median, worst = (round(1000 * t) for t in (statistics.median(took), max(took)))
            record(name, f"{median} ms (median of {len(took)}; worst {worst})")


def soon(found: Callable[[], Any]) -> Any:
    """Looks more often than `until`, so that what takes milliseconds can be told from what takes fifty."""
    end = time.perf_counter() + 30
    while time.perf_counter() < end:
        if answer := found():
            return answer
        time.sleep(0.004)
    raise AssertionError("it did not come true within 30 s")


def test_each_interaction(visit: Visit, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    watch = Watch()
    page = visit()
    spanish = trace(page, SPANISH, 9)
    page = visit()
    english = trace(page, ENGLISH, 9)
    settled(page)
    canvas_alone(page, watch)
    cards(page, watch)
    circuits(page, watch)
    pruning(page, watch)
    saving_and_links(visit, page, watch)
    exports(page, watch)
    comparison(visit(f"/library?left={english}&right={spanish}"), visit, (english, spanish), watch)
    library(visit("/library"), tmp_path, watch)
    watch.report(record_property)


def canvas_alone(page: Page, watch: Watch) -> None:
    """What needs no server."""
    canvas, nodes = canvas_of(page), clear_nodes(page, FEATURE)
    for node in nodes[:: len(nodes) // 6][:5]:
        place = ask(page, "position(argument)", node)
        page.mouse.move(1, 1)
        with watch("hover → tooltip"):
            canvas.hover(position=place)
            soon(lambda node=node: ask(page, "hovered()") == node)
    canvas.focus()
    canvas.press("ArrowDown")
    for _ in SAMPLES:
        before = ask(page, "hovered()")
        with watch("arrow key → next node"):
            canvas.press("ArrowDown")
            soon(lambda before=before: ask(page, "hovered()") != before)
    canvas.press("Escape")
    for text in ("France", "Paris", "capital", "city", "of"):
        with watch("search → nodes found"):
            page.get_by_label("Search nodes").fill(text)
            soon(lambda: ask(page, "matches()"))
        page.get_by_label("Search nodes").fill("")
    page.get_by_role("button", name="Filter:").click()
    errors = page.get_by_test_id("graph-filter").get_by_label("Errors")
    for _ in SAMPLES:
        with watch("filter → hidden"):
            errors.check()
            soon(lambda: ask(page, "hidden()"))
        errors.uncheck()
    page.keyboard.press("Escape")
    edges = page.get_by_label("How many edges")
    choose(page, ["LOGIT_0"])
    for _ in SAMPLES:
        with watch("3 strongest edges → drawn"):
            edges.select_option(label="3 strongest")
            soon(lambda: len(ask(page, "links()")) == 3)
        edges.select_option(label="all edges")
    paths(page, watch)
    boxes(page, watch)


def paths(page: Page, watch: Watch) -> None:
    start = next(id for id in ask(page, "ids()") if id.startswith("E_") and id.endswith("_4"))
    choose(page, ["LOGIT_0", start])
    for _ in SAMPLES:
        with watch("two nodes → the paths between them"):
            canvas_of(page).press("t")
            assert soon(lambda: ask(page, "paths()"))
        canvas_of(page).press("Escape")  # the paths
        soon(lambda: not ask(page, "paths()"))
    canvas_of(page).press("Escape")
    idle(page)


def boxes(page: Page, watch: Watch) -> None:
    box = canvas_of(page).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 3
    for i in SAMPLES:
        page.keyboard.down("Shift")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 150 + i, y + 150, steps=3)
        with watch("box let go → nodes selected"):
            page.mouse.up()
            soon(lambda: len(ask(page, "selection()")) > 1)
        page.keyboard.up("Shift")
        canvas_of(page).press("Escape")
        idle(page)


def cards(page: Page, watch: Watch) -> None:
    nodes = clear_nodes(page, FEATURE)
    for node in nodes[1 :: len(nodes) // 6][:5]:
        before = card_name(page).inner_text() if card_name(page).count() else ""
        canvas_of(page).hover(position=ask(page, "position(argument)", node))
        with watch("click → card's name and figures"):
            page.mouse.down()
            page.mouse.up()
            soon(lambda before=before: card_name(page).count() and card_name(page).inner_text() != before)
        idle(page)
    for i in SAMPLES:
        field = card(page).get_by_role("textbox", name="Label")
        with watch("label → saved, with its author"):
            field.fill(f"a label {i}")
            field.press("Enter")
            soon(lambda i=i: f"a label {i}" in ask(page, "labels()").values())
        idle(page)
    for text in ("Paris is a city", "a goal in the match", "two and two", "le petit chat", "the end"):
        field = card(page).get_by_role("textbox", name="Try on text")
        with watch("text tried on a feature → its activations"):
            field.fill(text)
            field.press("Enter")
            expect(chips(page, TRIED).last).to_contain_text(text.split()[-1])
        idle(page)


def circuits(page: Page, watch: Watch) -> None:
    idle(page)
    press(page, "Pin the 12 most influential features")
    strongest = until(lambda: pins(page))
    nodes = [id for id in clear_nodes(page, FEATURE) if id not in strongest]
    for node in nodes[:5]:
        choose(page, [node])
        n = len(pins(page))
        with watch("p → pinned"):
            canvas_of(page).press("p")
            soon(lambda n=n: len(pins(page)) == n + 1)
        idle(page)
    for _ in SAMPLES:
        n = len(pins(page))
        with watch("undo"):
            press(page, "↶")
            soon(lambda n=n: len(pins(page)) == n - 1)
        idle(page)
        with watch("redo"):
            press(page, "↷")
            soon(lambda n=n: len(pins(page)) == n)
        idle(page)
    for _ in SAMPLES:
        with watch("drawing switched on → circuit drawn"):
            main(page).get_by_text(DRAWING).click()
            soon(lambda: drawn(page))
        idle(page)
        switch_on(page, DRAWING, on=False)
        until(lambda: not drawn(page))
        idle(page)
    switch_on(page, DRAWING)
    for n, (a, b) in enumerate(((0, 1), (2, 3)), start=1):
        choose(page, [nodes[a], nodes[b]])
        with watch("g → grouped, and drawn as one"):
            canvas_of(page).press("g")
            expect(main(page).get_by_role("textbox", name=f"Group {n}: 2 nodes")).to_be_visible()
        idle(page)
    a_node_is_dragged(page, nodes, watch)
    for _ in SAMPLES:
        with watch("groups suggested"):
            switch_on(page, "Suggest groups")
            expect(main(page).get_by_role("button", name="Accept", exact=True).first).to_be_visible()
        idle(page)
        switch_on(page, "Suggest groups", on=False)
        expect(main(page).get_by_role("button", name="Accept", exact=True)).to_have_count(0)


def drawn(page: Page) -> bool:
    frames = page.locator("iframe[title*='agraph']")
    return any(frame.content_frame.locator("canvas").is_visible() for frame in frames.all())


def a_node_is_dragged(page: Page, nodes: list[str], watch: Watch) -> None:
    """Onto one of a group: it joins it, as one change."""
    canvas_of(page).press("Escape")
    name = main(page).get_by_role("textbox", name="Group 1: 3 nodes")
    expect(main(page).get_by_role("textbox", name="Group 1: 2 nodes")).to_be_visible()
    for _ in SAMPLES:
        idle(page)
        places = [ask(page, "position(argument)", nodes[i]) for i in (4, 0)]
        with watch("node dragged onto a group → one of it"):
            canvas_of(page).drag_to(canvas_of(page), source_position=places[0], target_position=places[1])
            expect(name).to_be_visible()
        idle(page)
        press(page, "↶")
        expect(name).to_have_count(0)
    idle(page)


def pruning(page: Page, watch: Watch) -> None:
    slider = page.get_by_role("slider", name="Nodes: share of influence kept")
    for key in ("ArrowLeft",) * 3 + ("ArrowRight",) * 2:
        idle(page)
        before = ask(page, "ids()")
        with watch("threshold moved → pruned graph drawn"):
            slider.press(key)
            soon(lambda before=before: ask(page, "ids()") != before)
    settled(page)


def saving_and_links(visit: Visit, page: Page, watch: Watch) -> None:
    title = circuit(page).get_by_role("textbox", name="Title")
    for i in SAMPLES:
        title.fill(f"Capitals {i}")
        title.press("Enter")
        expect(circuit(page)).to_contain_text("not saved")
        idle(page)
        with watch("Save → saved"):
            press(page, "Save")
            expect(circuit(page)).to_contain_text(f"saved, version {i + 1}")
        idle(page)
    link, n = short_link(page), len(pins(page))
    for _ in SAMPLES:
        with watch("circuit's link → circuit on the screen"):
            other = visit(link)
            soon(lambda other=other: len(pins(other)) == n)
        other.close()


def exports(page: Page, watch: Watch) -> None:
    idle(page)
    for _ in SAMPLES:
        with watch("what is seen → SVG"), page.expect_download() as waiting:
            page.get_by_role("button", name="is seen as SVG").click()
        assert b"gemma-3-270m" in waiting.value.path().read_bytes()
    for _ in SAMPLES:
        with watch("Export → menu with its files"):
            press(page, "Export")
            expect(page.get_by_role("button", name="JSON: Neuronpedia")).to_be_enabled()
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
        idle(page)


def comparison(page: Page, visit: Visit, keys: tuple[str, str], watch: Watch) -> None:
    chart = main(page).get_by_test_id("stVegaLiteChart").first
    expect(chart).to_be_visible()
    for _ in SAMPLES:
        idle(page)
        before = page.url
        with watch("two graphs: sides swapped → drawn"):
            press(page, "Swap the sides")
            page.wait_for_url(lambda url, before=before: url != before)
            idle(page)
    page.close()
    for _ in SAMPLES:
        with watch("link to a comparison → drawn"):
            page = visit(f"/library?left={keys[0]}&right={keys[1]}")
            expect(main(page).get_by_test_id("stVegaLiteChart").first).to_be_visible()
        page.close()


def library(page: Page, folder: Path, watch: Watch) -> None:
    document = small()
    document["metadata"] |= {"prompt": "zebra", "prompt_tokens": ["ze", "bra", "s"]}
    (folder / "zebra.json").write_text(json.dumps(document))
    tab(page, "Import")
    with watch("file imported"):
        main(page).locator("input[type=file]").set_input_files(folder / "zebra.json")
        expect(main(page)).to_contain_text("Imported, with")
    tab(page, "Graphs")
    field = main(page).get_by_role("textbox", name="Search", exact=True)
    for _ in SAMPLES:
        idle(page)
        field.fill("nothing like that")
        field.press("Enter")
        expect(main(page)).to_contain_text("No graph fits the search.")
        idle(page)
        with watch("Library: search → found"):
            field.fill("zebra")
            field.press("Enter")
            expect(main(page).get_by_text(re.compile(r"^1 of [\d,]+ graphs"))).to_be_visible()
    for _ in SAMPLES:
        idle(page)
        pick(page, 0)
        idle(page)
        with watch("Library: Delete → gone"):
            press(page, "Delete")
            expect(main(page)).to_contain_text("Deleted: zebra")
        idle(page)
        with watch("Library: Undo → back"):
            press(page, "Undo")
            expect(main(page).get_by_text(re.compile(r"^1 of [\d,]+ graphs"))).to_be_visible()
    idle(page)
    pick(page, 0)
    press(page, "Delete")
    expect(main(page)).to_contain_text("Deleted: zebra")

"""The main job, on the default model in a real Chromium: from a prompt to its graph, and what one does there."""

import re
import statistics
import time
from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Start
from tests.browser.driver import (
    FEATURE,
    SPORT,
    ask,
    canvas_of,
    card,
    chips,
    clear_nodes,
    click_node,
    counts,
    expect_card,
    idle,
    main,
    prompt_field,
    settled,
    sidebar,
    start_trace,
    trace,
    type_prompt,
    until,
    wait_for_graph,
)
from tests.browser.visiting import Visit, visiting
from tests.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

Record = Callable[[str, object], None]


def say(record_property: Record, name: str, value: object) -> None:
    """A figure for the report, and for whoever runs pytest with -s or reads a failure."""
    record_property(name, value)
    print(f"\n{name}: {value}")


@pytest.mark.usefixtures("server")
def test_page_is_up_before_the_model_and_shows_its_phases(start: Start, record_property: Record) -> None:
    say(record_property, "start → page, s", round(start.page_after, 1))
    say(record_property, "start → model, s", round(start.model_after, 1))
    said = " ".join(start.loading)
    assert "gemma-3-270m" in said and "loading the model" in said


def test_from_a_prompt_to_its_graph(visit: Visit, record_property: Record) -> None:
    page = visit()
    prompt_field(page).press_sequentially(SPORT, delay=15)
    expect(chips(page)).to_have_text(["<bos>", "Michael", "␣Jordan", "␣plays", "␣the", "␣sport", "␣of"])
    expect(main(page).get_by_text(re.compile(r"^7 tokens\."))).to_be_visible()
    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart.get_by_text("␣basketball", exact=True)).to_be_visible()
    expect(chart.get_by_text("75.8%")).to_be_visible()

    start = time.monotonic()
    start_trace(page)
    progress, titles = set(), set()
    while "/graph" not in page.url:
        progress |= set(page.get_by_test_id("stProgress").all_inner_texts())
        titles.add(page.title())
        assert time.monotonic() - start < 90, progress
        page.wait_for_timeout(60)
    wait_for_graph(page)
    say(record_property, "Trace → graph on the screen, s", round(time.monotonic() - start, 1))
    assert any("tracing direct effects" in text for text in progress), progress
    assert any(re.match(r"\d+% · Trace · Hypograph", title) for title in titles), titles
    assert len(ask(page, "ids()")) >= 500
    assert ask(page, "selected()") is None
    expect(main(page).get_by_text("Explains ␣basketball 75.8%")).to_be_visible()
    expect(counts(page)).to_contain_text(re.compile(r"1,\d\d\d of 2,\d\d\d nodes"))
    expect(card(page)).to_contain_text("No node selected")


@pytest.fixture(scope="module")
def key(chromium: Browser, server: Server) -> str:
    """Of the sports graph, which is cached from now on."""
    with visiting(chromium, server.address) as visit:
        return trace(visit(), SPORT, 7)


@pytest.fixture
def graph(visit: Visit, key: str) -> Page:
    """The sports graph on the screen of a new visitor."""
    page = visit(f"/graph?graph={key}")
    until(lambda: ask(page, "ids()"))
    return page


def test_the_second_time_it_comes_from_the_cache(visit: Visit, key: str, record_property: Record) -> None:
    page = visit()
    type_prompt(page, SPORT, 7)
    start = time.monotonic()
    start_trace(page)
    assert wait_for_graph(page) == key
    took = time.monotonic() - start
    say(record_property, "Trace → graph from the cache, s", round(took, 2))
    assert took < 10


def test_a_click_changes_the_card(graph: Page, record_property: Record) -> None:
    page = graph
    name = click_node(page, clear_nodes(page, FEATURE)[0])
    expect_card(page, name)
    expect(card(page).get_by_role("tab", name="Inputs")).to_be_visible()
    expect(card(page).get_by_test_id("stDataFrame").first).to_be_visible()
    expect(card(page)).to_contain_text("Activation at each token")
    expect(card(page)).to_contain_text("What it says")

    nodes = clear_nodes(page)
    heads, wholes = [], []
    for node in nodes[:: max(1, len(nodes) // 6)][:6]:
        place = ask(page, "position(argument)", node)
        if node == ask(page, "selected()"):
            continue
        canvas_of(page).hover(position=place)
        page.wait_for_timeout(250)
        page.evaluate(CLOCK)
        page.mouse.down()
        page.mouse.up()
        head, whole = page.evaluate("window.took")
        heads.append(head)
        wholes.append(whole)
        assert ask(page, "selected()") == node
    assert len(heads) >= 5
    say(record_property, "click → card's name and figures, ms, median", round(statistics.median(heads)))
    say(record_property, "click → card's name and figures, ms, all", [round(t) for t in heads])
    say(record_property, "click → whole card at rest, ms, median", round(statistics.median(wholes)))
    assert statistics.median(heads) < 1000


# From the click to the frame that shows the card's new head, and to the last change of the card before half a second's
# rest. The head is a component in a shadow root; what the server draws is the rest of the card.
CLOCK = """() => {
    const card = document.querySelector('.st-key-card');
    const inside = (e) => e.shadowRoot?.querySelector('[data-testid=card-head]');
    const head = [...card.querySelectorAll('*')].map(inside).find(Boolean);
    const name = () => head.querySelector('strong').textContent;
    const before = name();
    let start, shown, last;
    document.addEventListener('click', () => (start = performance.now()), { capture: true, once: true });
    window.took = new Promise((done, fail) => {
        new MutationObserver(() => {
            if (name() !== before) requestAnimationFrame(() => setTimeout(() => (shown ??= performance.now())));
        }).observe(head, { subtree: true, childList: true, characterData: true });
        new MutationObserver(() => (last = performance.now()))
            .observe(card, { subtree: true, childList: true, characterData: true });
        const timer = setInterval(() => {
            if (shown && last && performance.now() - last > 500 && !card.hasAttribute('data-waiting')) {
                clearInterval(timer);
                done([shown - start, last - start]);
            }
        }, 50);
        setTimeout(() => fail(new Error(`the card did not change: ${before}, ${name()}`)), 15000);
    });
}"""


def test_keyboard_selects(graph: Page) -> None:
    page = graph
    canvas = canvas_of(page)
    canvas.focus()
    canvas.press("ArrowDown")
    canvas.press("ArrowDown")
    node = ask(page, "hovered()")
    name = page.get_by_test_id("graph-tooltip").locator(".title").inner_text()
    canvas.press("Enter")
    expect_card(page, name)
    assert ask(page, "selected()") == node
    expect(page).to_have_url(re.compile(f"select={node}"))
    canvas.press("Escape")
    expect(card(page)).to_contain_text("No node selected")
    expect(page).not_to_have_url(re.compile("select="))


def test_thresholds_prune_again(graph: Page) -> None:
    page = graph
    text, n = counts(page).inner_text(), len(ask(page, "ids()"))
    nodes = page.get_by_role("slider", name="Nodes: share of influence kept")
    for _ in range(5):
        nodes.press("ArrowLeft")
    expect(nodes).to_have_value("0.75")
    expect(counts(page)).not_to_have_text(text)
    assert settled(page) < n
    for _ in range(8):
        nodes.press("ArrowRight")
    assert settled(page) > n

    text = counts(page).inner_text()
    edges = page.get_by_role("slider", name="Edges: share of scores kept")
    for _ in range(4):
        edges.press("ArrowLeft")
    expect(counts(page)).not_to_have_text(text)


def test_the_link_brings_it_back_in_another_browser(visit: Visit, graph: Page) -> None:
    page = graph
    nodes = page.get_by_role("slider", name="Nodes: share of influence kept")
    n = len(ask(page, "ids()"))
    for _ in range(5):
        nodes.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"nodes=0\.75"))
    assert settled(page) < n
    name = click_node(page, clear_nodes(page, FEATURE)[3])
    expect_card(page, name)
    link, node, text = page.url, ask(page, "selected()"), counts(page).inner_text()

    other = visit(link)
    expect_card(other, name)
    assert ask(other, "selected()") == node
    expect(counts(other)).to_have_text(text)
    expect(other.get_by_role("slider", name="Nodes: share of influence kept")).to_have_value("0.75")
    assert other.url == link
    page.reload()
    expect_card(page, name)
    expect(counts(page)).to_have_text(text)
    assert ask(page, "selected()") == node


def test_back_restores_the_previous_selection(graph: Page) -> None:
    page = graph
    first, second = clear_nodes(page, FEATURE)[2:4]
    names = []
    for node in (first, second):
        names.append(click_node(page, node))
        expect_card(page, names[-1])
        expect(page).to_have_url(re.compile(f"select={node}"))
        idle(page)
    page.go_back()
    expect_card(page, names[0])
    until(lambda: ask(page, "selected()") == first)
    page.go_forward()
    expect_card(page, names[1])
    until(lambda: ask(page, "selected()") == second)


def test_table_is_a_twin_of_the_canvas(graph: Page) -> None:
    page = graph
    page.get_by_text("Nodes as a table").click()
    table = page.get_by_test_id("stExpander").filter(has_text="Nodes as a table").get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 15, "y": 52})  # the box in front of the first row
    selected = until(lambda: ask(page, "selected()"))
    expect(card(page)).to_contain_text("Influence")
    expect(page).to_have_url(re.compile(f"select={selected}"))
    table.click(position={"x": 15, "y": 52 + 2 * 35})  # another row, though the table was drawn anew
    until(lambda: ask(page, "selected()") not in (None, selected))


def test_system_page(visit: Visit) -> None:
    page = visit()
    sidebar(page).get_by_role("link", name="System").click()
    expect(main(page).get_by_role("heading", name="System")).to_be_visible()
    model = main(page).get_by_test_id("stDataFrame").first
    expect(model).to_be_visible()
    until(lambda: "gemma-3-270m" in (model.text_content() or ""))
    assert "ready" in (model.text_content() or "")
    expect(main(page)).to_contain_text("Models and their licences")
    expect(main(page).get_by_role("link", name=re.compile("Gemma"))).to_be_visible()
    expect(main(page)).to_contain_text("Apache")
    expect(main(page)).to_contain_text("Hypograph itself: MIT")

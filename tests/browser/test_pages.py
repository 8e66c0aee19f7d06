"""The pages under less friendly conditions: several tabs, cancelling, bad input, narrow screens, accessibility."""

import re
import time
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.driver import (
    FEATURE,
    SPORT,
    ask,
    canvas_of,
    card,
    card_name,
    chips,
    clear_nodes,
    click_node,
    expect_card,
    idle,
    main,
    prompt_field,
    sidebar,
    start_trace,
    trace,
    type_prompt,
    until,
    wait_for_graph,
)
from tests.browser.looks import WIDE, flaws
from tests.browser.visiting import Visit, visiting
from tests.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

HOSTILE = "<img src=x onerror=window.__pwned=1>"
HOT = "The opposite of hot is"  # 6 tokens
NEVER = "0" * 64  # the key of no graph


def words(n: int, first: str = "dog") -> str:
    """A prompt of n + 1 tokens: <bos> and n words; `first` makes it another prompt than a test before traced."""
    return " ".join([first, *["dog"] * (n - 1)])


def jobs(page: Page) -> int:
    """How many jobs the sidebar shows as running or waiting."""
    return sidebar(page).get_by_role("button", name="Cancel").count()


def test_two_tabs_trace_at_once(visit: Visit) -> None:
    """One of them a difference of two tokens, from the gallery."""
    one = visit()
    two = visit(context=one.context)
    type_prompt(one, "The capital of France is the city of", 9)
    two.locator("[class*=st-key-example_The-key-to-the-cabinets]").get_by_role("button", name="Use").click()
    expect(prompt_field(two)).to_have_value("The key to the cabinets")
    for label, token in (("A", "␣is"), ("minus B", "␣are")):
        expect(two.get_by_role("combobox", name=re.compile(rf"\b{label}$"))).to_have_value(token)
    start_trace(one)
    start_trace(two)
    keys = [wait_for_graph(page) for page in (one, two)]
    assert keys[0] != keys[1]
    expect(main(one)).to_contain_text("Explains ␣Paris")
    expect(main(two)).to_contain_text("Explains ␣is − ␣are")
    expect(chips(one, "Prompt")).to_contain_text(["␣France"])
    expect(chips(two, "Prompt")).to_contain_text(["␣cabinets"])
    until(lambda: ask(one, "ids()") != ask(two, "ids()"))


def test_a_job_outlives_page_switch_reload_and_closed_tab(visit: Visit, context: BrowserContext) -> None:
    page = visit(context=context)
    prompt = words(21, first="cat")
    type_prompt(page, prompt, 22)
    start_trace(page)
    expect(page).to_have_url(re.compile("job="))
    sidebar(page).get_by_role("link", name="System").click()
    expect(main(page).get_by_role("heading", name="System")).to_be_visible()
    expect(sidebar(page)).to_contain_text("cat dog dog")
    until(lambda: re.match(r"\d+% · System · Hypograph", page.title()))
    sidebar(page).get_by_role("link", name="Trace").click()
    expect(main(page).get_by_test_id("stProgress")).to_be_visible()
    expect(prompt_field(page)).to_have_value(prompt)
    expect(page).to_have_url(re.compile("job="))
    page.reload()
    expect(main(page).get_by_test_id("stProgress")).to_be_visible()
    expect(page).to_have_url(re.compile("job="))
    page.close()

    other = visit()  # a new visitor, as after a restart of the browser; nobody has waited for the job meanwhile

    def kept() -> int:
        until(lambda: jobs(other) == 0, 240)  # to load the page again and again would slow the trace down
        other.reload()
        main(other).get_by_text("Recent graphs").wait_for()
        return main(other).get_by_text(prompt[:60]).count()

    until(kept, 240)


def test_cancel_is_acknowledged_and_the_worker_is_free(visit: Visit, record_property: Any) -> None:
    page = visit()
    type_prompt(page, words(250, first="horse"), 251)
    start_trace(page)
    expect(main(page).get_by_test_id("stProgress")).to_contain_text("tracing direct effects", timeout=60_000)
    button = main(page).get_by_role("button", name="Cancel")
    button.wait_for()
    start = time.monotonic()
    button.click()
    main(page).get_by_text(re.compile("stopping|Cancelled")).first.wait_for()
    acknowledged = time.monotonic() - start
    until(lambda: jobs(page) == 0)
    idle = time.monotonic() - start
    record_property("cancel → acknowledged, s", round(acknowledged, 2))
    record_property("cancel → worker idle, s", round(idle, 2))
    expect(main(page)).to_contain_text("Cancelled. Nothing was kept")
    assert idle < 20, "the trace would have taken minutes: the figures are noted, not asserted, on a shared machine"


def test_done_on_another_page_and_a_hostile_prompt_is_text_everywhere(visit: Visit) -> None:
    page = visit()
    prompt_field(page).fill(HOSTILE)
    expect(chips(page)).to_contain_text(["onerror"])
    start_trace(page)
    expect(page).to_have_url(re.compile("job="))
    expect(sidebar(page)).to_contain_text(HOSTILE)
    sidebar(page).get_by_role("link", name="System").click()
    expect(page.get_by_test_id("stToast")).to_contain_text(f"Graph ready: {HOSTILE}", timeout=60_000)
    expect(page).to_have_title("✓ Graph ready · System · Hypograph")
    assert "/system" in page.url, "a finished trace takes nobody away from another page"
    sidebar(page).get_by_role("link", name=f"Open: {HOSTILE}").click()
    wait_for_graph(page)
    expect(page).to_have_title("Graph · Hypograph")
    expect(chips(page, "Prompt")).to_contain_text(["onerror"])
    for node in clear_nodes(page, "^E_")[:4]:
        name = click_node(page, node)
        expect(card_name(page)).to_contain_text(name)
    sidebar(page).get_by_role("link", name="Trace", exact=True).click()
    expect(main(page).get_by_role("heading", name="Trace a prompt")).to_be_visible()
    expect(prompt_field(page)).to_have_value(HOSTILE)
    expect(main(page).get_by_text(HOSTILE, exact=True)).to_be_visible()  # in the recent graphs
    page.wait_for_timeout(1000)
    assert "/graph" not in page.url, "its graph does not open a second time"
    assert page.evaluate("window.__pwned") is None
    assert page.locator("img[src=x]").count() == 0
    trace(page, words(3, first="cow"), 4)
    other = page.url
    idle(page)
    sidebar(page).get_by_role("button", name=f"Open: {HOSTILE}").click()
    expect(page).not_to_have_url(other)
    expect(chips(page, "Prompt")).to_contain_text(["onerror"])
    page.go_back()
    expect(page).to_have_url(other)


def test_too_long_a_prompt_is_refused_before_it_queues(visit: Visit) -> None:
    page = visit()
    prompt_field(page).fill(words(600))
    expect(main(page)).to_contain_text("601 tokens; the limit is 512 (HYPOGRAPH_MAX_TOKENS). Shorten the prompt.")
    expect(page.get_by_role("button", name="Trace", exact=True)).to_have_count(0)
    assert jobs(page) == 0


def test_empty_prompt_and_prompt_that_ends_with_a_space(visit: Visit) -> None:
    page = visit()
    expect(main(page)).to_contain_text("Type a prompt, or take one of the examples below.")
    expect(page.get_by_role("button", name="Trace", exact=True)).to_have_count(0)
    type_prompt(page, HOT, 6)
    expect(main(page)).not_to_contain_text("ends with a space")
    type_prompt(page, HOT + " ", 7)
    expect(main(page)).to_contain_text("The prompt ends with a space")
    prompt_field(page).fill("")
    expect(main(page)).to_contain_text("Type a prompt, or take one of the examples below.")


def test_chosen_tokens_must_be_tokens(visit: Visit) -> None:
    page = visit()
    type_prompt(page, HOT, 6)
    page.get_by_role("radio", name="Chosen tokens").or_(page.get_by_role("button", name="Chosen tokens")).click()
    expect(main(page)).to_contain_text("Choose at least one token")
    button = page.get_by_role("button", name="Trace", exact=True)
    expect(button).to_be_disabled()
    field = page.get_by_role("combobox", name="Tokens")
    field.fill("lukewarm weather")
    field.press("Enter")
    field.press("Escape")
    expect(main(page)).to_contain_text(re.compile("lukewarm weather.* is \\d+ tokens|not one token|exactly one token"))
    expect(button).to_be_disabled()
    field.press("Backspace")
    field.fill(" cold")
    field.press("Enter")
    field.press("Escape")
    expect(button).to_be_enabled()
    start_trace(page)
    wait_for_graph(page)
    expect(main(page)).to_contain_text("Explains ␣cold")
    assert [node for node in ask(page, "ids()") if node.startswith("LOGIT")] == ["LOGIT_0"]


def test_an_example_fills_the_prompt(visit: Visit) -> None:
    page = visit()
    page.locator("[class*=st-key-example_Hecho]").get_by_role("button", name="Use").click()
    expect(prompt_field(page)).to_have_value("Hecho: Michael Jordan juega al")
    expect(page.get_by_test_id("stVegaLiteChart")).to_contain_text("␣baloncesto")


def test_links_that_lead_nowhere(visit: Visit) -> None:
    page = visit(f"/graph?graph={NEVER}")
    expect(main(page)).to_contain_text("This graph is not in this machine's cache (any more)")
    expect(main(page).get_by_role("link", name="Trace a prompt")).to_be_visible()
    page = visit("/?job=nothing")
    expect(main(page)).to_contain_text("The job in this link is over and no longer listed")


def test_what_a_link_may_not_say_is_ignored(visit: Visit, key: str) -> None:
    page = visit(f"/graph?graph={key}&select=<b>x</b>&nodes=7&edges=many")
    until(lambda: ask(page, "ids()"))
    expect(card(page)).to_contain_text("No node selected")
    assert ask(page, "selected()") is None
    expect(page.get_by_role("slider", name="Nodes: share of influence kept")).to_have_value("0.8")
    assert page.get_by_test_id("stException").count() == 0
    expect_card(page, click_node(page, clear_nodes(page, FEATURE)[0]))


@pytest.fixture
def context(visit: Visit, chromium: Any) -> Any:
    """A browser whose tabs a test opens and closes itself."""
    with chromium.new_context(viewport={"width": 1440, "height": 1000}) as context:
        yield context


@pytest.fixture(scope="module")
def key(server: Server, chromium: Any) -> str:
    """Of a graph that is cached."""
    with visiting(chromium, server.address) as visit:
        return trace(visit(), SPORT, 7)


def test_narrow_screens_do_not_scroll_sideways(visit: Visit, key: str) -> None:
    for path in ("/", f"/graph?graph={key}&select=E_4", "/system"):
        page = visit(path, width=390, height=844)
        if path == "/":
            type_prompt(page, HOT, 6)
            expect(page.get_by_test_id("stVegaLiteChart")).to_be_visible()
        elif "graph" in path:
            expect(card(page)).to_contain_text("Influence")
        page.wait_for_timeout(500)
        wide = page.evaluate(WIDE)
        assert wide == [], path
        page.close()


def test_axe_finds_no_serious_violation(visit: Visit, key: str, axe: str) -> None:
    page = visit("/")
    type_prompt(page, HOT + " ", 7)
    expect(main(page)).to_contain_text("ends with a space")
    expect(page.get_by_test_id("stVegaLiteChart")).to_be_visible()
    found = flaws(page, axe, "trace")
    page = visit(f"/graph?graph={key}&select=E_4")
    until(lambda: ask(page, "ids()"))
    expect(card(page)).to_contain_text("Influence")
    found += flaws(page, axe, "graph, token")
    click_node(page, clear_nodes(page, FEATURE)[0])
    expect(card(page)).to_contain_text("What it says")
    found += flaws(page, axe, "graph, feature")
    main(page).get_by_role("button", name=re.compile("^Filter")).click()
    expect(page.get_by_test_id("graph-filter")).to_be_visible()
    found += flaws(page, axe, "graph, filter")
    canvas_of(page).press("?")
    expect(page.get_by_test_id("graph-keys")).to_be_visible()
    found += flaws(page, axe, "graph, keys")
    page = visit("/system")
    found += flaws(page, axe, "system")
    assert found == []

"""What the browser tests do with the dashboard's pages: fill the prompt, trace, read and click the canvas."""

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, TimeoutError, expect

SPORT = "Michael Jordan plays the sport of"
FEATURE = r"^\d"  # how a feature's id begins


def prompt_field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Prompt", exact=True)


def type_prompt(page: Page, prompt: str, n_tokens: int) -> None:
    """Fill the prompt and wait for its tokens."""
    prompt_field(page).fill(prompt)
    expect(main(page).get_by_text(re.compile(rf"^{n_tokens:,} tokens?[.;]"))).to_be_visible()


def main(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def sidebar(page: Page) -> Locator:
    return page.get_by_test_id("stSidebar")


def chips(page: Page, label: str = "Tokens of the prompt") -> Locator:
    return page.get_by_role("list", name=label, exact=True).get_by_role("listitem")


def start_trace(page: Page) -> None:
    idle(page)  # the preview beside it comes, and a click on what moves is lost
    page.get_by_role("button", name="Trace", exact=True).click()


def wait_for_graph(page: Page, seconds: float = 90) -> str:
    """The graph page has opened by itself and drawn its canvas; the graph's key."""
    try:
        page.wait_for_url(re.compile(r"/graph\?"), timeout=1000 * seconds)
    except TimeoutError as late:
        raise AssertionError(
            f"no graph after {seconds} s, but: {sidebar(page).inner_text()} | {main(page).inner_text()}"
        ) from late
    expect(canvas_of(page)).to_be_visible(timeout=30_000)  # says what is there instead
    until(lambda: ask(page, "ids()"))
    found = re.search(r"graph=([0-9a-f]+)", page.url)
    assert found, page.url
    return found[1]


def trace(page: Page, prompt: str, n_tokens: int) -> str:
    type_prompt(page, prompt, n_tokens)
    start_trace(page)
    return wait_for_graph(page)


def canvas_of(page: Page) -> Locator:
    return page.get_by_test_id("graph-canvas")


def ask(page: Page, question: str, argument: Any = None) -> Any:
    """Read the canvas's debug state: `ask(page, "selected()")`."""
    return canvas_of(page).evaluate(f"(canvas, argument) => canvas.hypograph.{question}", argument)


def click_node(page: Page, node: str) -> str:
    """Click a node of the canvas. What its tooltip called it."""

    def hovered() -> bool:  # again if the canvas was laid out anew under the pointer
        page.mouse.move(1, 1)
        canvas_of(page).hover(position=ask(page, "position(argument)", node))
        return ask(page, "hovered()") == node

    until(hovered)
    name = page.get_by_test_id("graph-tooltip").locator(".title").inner_text()
    canvas_of(page).click(position=ask(page, "position(argument)", node))
    return name


def clear_nodes(page: Page, kind: str = "") -> list[str]:
    """Ids that match `kind` of nodes that lie in view and not on top of each other, so that a click means just one."""
    return canvas_of(page).evaluate(
        """(canvas, kind) => {
            const { ids, position } = canvas.hypograph;
            const all = ids().map((id) => ({ id, ...position(id) }));
            const { width, height } = canvas.getBoundingClientRect();
            const alone = (a) => all.every((b) => b === a || Math.hypot(a.x - b.x, a.y - b.y) > 6);
            const inside = (a) => a.x > 50 && a.y > 10 && a.x < width - 15 && a.y < height - 10;
            return all.filter((a) => RegExp(kind).test(a.id) && inside(a) && alone(a)).map((a) => a.id);
        }""",
        kind,
    )


def card(page: Page) -> Locator:
    """The card of the selected node."""
    return page.locator(".st-key-card")


def card_name(page: Page) -> Locator:
    return card(page).get_by_test_id("card-head").locator("strong")


def expect_card(page: Page, name: str) -> None:
    """The head has changed, in the browser, and then the rest of the card, from the server."""
    expect(card_name(page)).to_have_text(name)
    expect(page.locator(".st-key-card:not([data-waiting])")).to_have_count(1)


def settled(page: Page) -> int:
    """The number of nodes drawn, once sentence and canvas agree and no pruning has come for a while."""

    def same() -> int | None:
        before = counts(page).inner_text()
        time.sleep(0.7)
        n = len(ask(page, "ids()"))
        return n if counts(page).inner_text() == before and f"{n:,} of" in before else None

    return until(same)


def counts(page: Page) -> Locator:
    """How many nodes and edges are kept."""
    return main(page).get_by_text(re.compile(r"nodes and .* edges kept"))


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    """What `found` gives once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"it did not come true within {seconds} s")


def idle(page: Page) -> None:
    """No run of the page for a third of a second: what is clicked next stays where it is."""
    running = page.locator("[data-testid=stApp]:not([data-test-script-state=notRunning])")

    def quiet() -> bool:
        for _ in range(4):
            if running.count():
                return False
            page.wait_for_timeout(80)
        return running.count() == 0

    until(quiet)


def switch_on(page: Page, name: str, on: bool = True) -> None:
    """A click on a switch is lost if what is above it grows meanwhile; a person would click again."""
    switch = main(page).get_by_test_id("stCheckbox").filter(has_text=name)

    def as_wanted() -> bool:
        idle(page)
        box = switch.locator("input")  # of a toggle the role is "switch"
        if box.is_checked() != on:
            switch.get_by_text(name).click()
            page.wait_for_timeout(300)
        return box.is_checked() == on

    until(as_wanted)


def press(page: Page, name: str) -> None:
    main(page).get_by_role("button", name=name, exact=True).click()


def circuit(page: Page) -> Locator:
    """The panel of the circuit that is worked on."""
    return page.locator(".st-key-circuit")


def pins(page: Page) -> list[str]:
    return ask(page, "pins()")


def short_link(page: Page) -> str:
    """Of a saved circuit: path and query."""
    press(page, "More")
    link = page.get_by_test_id("stPopoverBody").get_by_test_id("stCode").inner_text().strip()
    page.keyboard.press("Escape")
    found = re.search(r"/graph\?circuit=[0-9a-f]{12}$", link)
    assert found, link
    return found[0]


def choose(page: Page, ids: list[str]) -> list[str]:
    """Select several nodes of the canvas, and no others."""
    canvas_of(page).press("Escape")
    idle(page)
    for id in ids:
        canvas_of(page).click(position=ask(page, "position(argument)", id), modifiers=["Shift"])
    assert ask(page, "selection()") == ids
    return ids


def search_paths(page: Page, token: str, target: str) -> list[dict[str, Any]]:
    """Find both by the canvas's search, select them, and ask for the strongest paths from the one to the other."""
    page.get_by_label("Search nodes").fill(target)
    page.keyboard.press("Enter")
    end = until(lambda: ask(page, "selected()"))
    page.get_by_label("Search nodes").fill(token)
    start = next(id for id in ask(page, "matches()") if id.startswith("E_"))
    canvas_of(page).click(position=ask(page, "position(argument)", start), modifiers=["Shift"])
    assert ask(page, "selection()") == [end, start]
    canvas_of(page).press("t")
    return ask(page, "paths()")


def tab(page: Page, name: str) -> None:
    main(page).get_by_role("tab", name=name).click()


def table(page: Page) -> Locator:
    """The first on the page, or of the tab that is open."""
    return main(page).get_by_test_id("stDataFrame").locator("visible=true").first


def pick(page: Page, row: int) -> None:
    """The box in front of a row."""
    table(page).click(position={"x": 15, "y": 52 + 35 * row})

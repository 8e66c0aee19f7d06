"""What the tests of the canvas do with its own page (canvas_app.py): find, click and select nodes."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Position, expect

from tests.browser.driver import ask, canvas_of

Opener = Callable[..., Page]


def place_of(page: Page, node: str) -> Any:
    return ask(page, "position(argument)", node)


def places(page: Page) -> dict[str, Any]:
    """Of all nodes, asked for at once."""
    return canvas_of(page).evaluate(
        "({ hypograph }) => Object.fromEntries(hypograph.ids().map((id) => [id, hypograph.position(id)]))"
    )


def empty_place(page: Page) -> Position:
    """A place in the plot that no node is near."""
    nodes = places(page).values()
    spots: list[Position] = [{"x": x, "y": y} for x in range(60, 900, 25) for y in range(90, 400, 25)]
    far = [s for s in spots if all((n["x"] - s["x"]) ** 2 + (n["y"] - s["y"]) ** 2 > 20**2 for n in nodes)]
    return far[0]


def click(page: Page, node: str) -> None:
    canvas_of(page).click(position=place_of(page, node))


def expect_selected(page: Page, node: str | None) -> None:
    """Python shows the node, and JavaScript agrees."""
    expect(page.get_by_text(f"selected: {node}", exact=True)).to_be_visible()
    assert ask(page, "selected()") == node


def toggle(page: Page, label: str) -> None:
    page.get_by_text(label, exact=True).click()


def runs(page: Page) -> int:
    return int(page.get_by_text("runs:").inner_text().split()[1])


def settle(page: Page) -> None:
    """Time for a rerun that should not come."""
    page.wait_for_timeout(400)

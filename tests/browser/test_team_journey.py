"""A team's server, from an empty data folder: two people log in, one traces a batch, the server is killed under it,
what was cut off is run again, and what its graphs share becomes a hypothesis that the other one reads."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.driver import idle, main, pick, press, sidebar, table, until
from tests.browser.login_place import Place, dashboard, log_in, provider_of_people
from tests.browser.looks import CUT, WIDE, flaws
from tests.serving import free_port

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

Record = Callable[[str, object], None]
NAMES = "Michael Jordan", "Lionel Messi", "Serena Williams", "Tiger Woods", "Babe Ruth", "Roger Federer"


def test_log_in_batch_killed_run_again_shared_features_hypothesis(
    chromium: Browser, store: Path, axe: str, tmp_path: Path, record_property: Record
) -> None:
    started, port = time.monotonic(), free_port()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "models").symlink_to(store.resolve())
    with provider_of_people() as provider, own(chromium) as adas, own(chromium) as bens:
        ada, ben = adas.new_page(), bens.new_page()
        with dashboard(tmp_path, "gemma-3-270m", port, provider) as place:
            log_in(ben, place, "ben")
            log_in(ada, place, "ada")
            only_looks(ben)
            becomes_an_editor(ada, axe)
            link = begins_a_batch(ben, place)
            place.server.kill()
        with dashboard(tmp_path, "gemma-3-270m", port, provider) as place:
            runs_again(ben, place)
            goes_on(ben, link)
            looks(ben, axe)
            makes_a_hypothesis(ben)
            reads(ada, place, axe)
            assert NAMES[0] not in (place.home / "server.log").read_text()  # nor any other prompt
    record_property("journey of a team, s", round(time.monotonic() - started, 1))


def own(chromium: Browser) -> BrowserContext:
    """Somebody's browser."""
    return chromium.new_context(viewport={"width": 1440, "height": 1000})


def only_looks(page: Page) -> None:
    expect(sidebar(page)).to_contain_text("neurons · ", timeout=90_000)
    expect(sidebar(page)).to_contain_text("Ben · viewer")
    sidebar(page).get_by_role("link", name="Batch").click()
    expect(main(page)).to_contain_text("None yet.")
    write(page)
    expect(main(page).get_by_role("button", name="Trace them all")).to_be_disabled()


def becomes_an_editor(page: Page, axe: str) -> None:
    sidebar(page).get_by_role("link", name="People").click()
    page.get_by_role("combobox", name="Role of Ben").fill("editor")
    page.get_by_role("option", name="editor").click()
    expect(page.get_by_role("combobox", name="Role of Ben")).to_have_value("editor")
    idle(page)
    assert flaws(page, axe, "people") == []


def write(page: Page) -> None:
    main(page).get_by_role("textbox", name="A prompt a line").fill("\n".join(f"{n} plays the sport of" for n in NAMES))
    main(page).get_by_role("spinbutton", name="Nodes").fill("300")
    page.keyboard.press("Tab")
    idle(page)


def begins_a_batch(page: Page, place: Place) -> str:
    """Its link, when the first graph is there and others wait."""
    page.goto(f"{place.address}/batch")
    expect(sidebar(page)).to_contain_text("Ben · editor")
    write(page)
    press(page, "Trace them all")
    expect(main(page)).to_contain_text(re.compile("[1-5] of 6 traced"), timeout=60_000)
    return page.url


def runs_again(page: Page, place: Place) -> None:
    """What had been handed in; who was logged in still is."""
    page.goto(place.address)
    expect(main(page)).to_contain_text("was not traced: the server stopped before", timeout=60_000)
    expect(sidebar(page)).to_contain_text("neurons · ", timeout=90_000)
    idle(page)
    main(page).get_by_role("button", name="Run again").first.click()
    page.wait_for_url(re.compile(r"/graph\?"), timeout=60_000)


def goes_on(page: Page, link: str) -> None:
    page.goto(link)
    idle(page)
    main(page).get_by_role("button", name=re.compile("Trace the [1-5] missing")).click()
    expect(main(page)).to_contain_text("6 graphs ·", timeout=90_000)
    expect(table(page)).to_be_visible()


def looks(page: Page, axe: str) -> None:
    idle(page)
    found = flaws(page, axe, "batch, features")
    for view, said in (("Circuit", "An edge: the signed share"), ("Graphs", "Unlike the others")):
        main(page).get_by_role("radio", name=view).click()
        expect(main(page)).to_contain_text(said)
        idle(page)
        found += flaws(page, axe, f"batch, {view}")
    page.set_viewport_size({"width": 390, "height": 844})
    until(lambda: not page.evaluate(WIDE) and not page.evaluate(CUT))
    page.set_viewport_size({"width": 1440, "height": 1000})
    main(page).get_by_role("radio", name="Features").click()
    assert found == []


def makes_a_hypothesis(page: Page) -> None:
    """Of the feature that most of the graphs share; on the other half of the prompts it can be tested."""
    idle(page)
    pick(page, 0)
    expect(main(page).get_by_role("button", name="Make this feature a hypothesis")).to_be_visible()
    press(page, "Make this feature a hypothesis")
    expect(main(page).get_by_role("textbox", name="Claim in words")).not_to_be_empty()
    expect(main(page)).to_contain_text(NAMES[-1])
    press(page, "Save the hypothesis")
    page.wait_for_url(re.compile(r"hypotheses\?hypothesis=[0-9a-f]{12}$"))


def reads(page: Page, place: Place, axe: str) -> None:
    page.goto(f"{place.address}/hypotheses")
    expect(main(page)).to_contain_text("Ben, ")
    sidebar(page).get_by_role("link", name="Privacy").click()
    expect(main(page)).to_contain_text("The log of the server")
    idle(page)
    assert flaws(page, axe, "privacy") == []

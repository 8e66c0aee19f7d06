"""From an empty data folder to a verdict on the default model, in one piece; the server is killed on the way."""

import re
import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Locator, Page, expect

from lab.runs.bundle import read as read_bundle
from tests.browser.driver import canvas_of, circuit, click_node, idle, main, pins, press, sidebar, trace, until
from tests.browser.looks import CUT, WIDE, flaws
from tests.browser.visiting import visiting
from tests.serving import free_port, serving

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

Record = Callable[[str, object], None]
PROMPT = "Michael Jordan plays the sport of"
NEURONS = "15_1776_6", "16_1682_6"  # high up: what they write can be run 199 times in a journey's time
PEOPLE = "Lionel Messi", "Serena Williams", "Tiger Woods", "Babe Ruth", "Roger Federer", "Wayne Gretzky"
MOST = 25  # clicks and entries, from the saved circuit to the verdict


class Counted:
    """What a person does, counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.n = page, 0

    def click(self, button: Locator) -> None:
        idle(self.page)
        button.click()
        self.n += 1

    def press(self, name: str | re.Pattern[str]) -> None:
        self.click(main(self.page).get_by_role("button", name=name))

    def enter(self, field: str, text: str) -> None:
        idle(self.page)
        box = main(self.page).get_by_role("textbox", name=field)
        box.fill(text)
        box.press("Tab")
        self.n += 1


def test_trace_pin_save_write_freeze_run_die_go_on_read_report(
    chromium: Browser, store: Path, axe: str, tmp_path: Path, record_property: Record
) -> None:
    started, port = time.monotonic(), free_port()
    (tmp_path / "models").symlink_to(store.resolve())
    with serving(tmp_path, port=port) as server, visiting(chromium, server.address) as visit:
        page = visit()
        trace(page, PROMPT, 7)
        save_a_circuit(page)
        person = Counted(page)
        write(person)
        kept = freeze_and_run(person)
        link = page.url
        server.kill()
    with serving(tmp_path, port=port) as server, visiting(chromium, server.address) as visit:
        page = visit(link)
        person.page = page
        go_on(person, kept)
        look_around_meanwhile(visit(link), record_property)
        read(page, axe)
        assert person.n <= MOST
        record_property("clicks and entries from a saved circuit to a verdict", person.n)
        take_along(page, tmp_path)
        listed(page)
    record_property("journey of a hypothesis, s", round(time.monotonic() - started, 1))


def save_a_circuit(page: Page) -> None:
    for n, node in enumerate(NEURONS, start=1):
        idle(page)
        click_node(page, node)
        canvas_of(page).press("p")
        until(lambda n=n: len(pins(page)) == n)
    idle(page)
    press(page, "Save")
    expect(circuit(page)).to_contain_text("saved, version 1")


def write(person: Counted) -> None:
    """With the wizard's defaults."""
    page = person.page
    person.press("Make this a hypothesis")
    expect(main(page).get_by_role("textbox", name="Claim in words")).not_to_be_empty()
    person.enter("A prompt a line", "\n".join(f"{name} plays the sport of" for name in PEOPLE))
    person.press("Add the lines")
    expect(main(page)).to_contain_text("6 added")
    expect(main(page)).to_contain_text("Ready to be saved, frozen and run.")
    person.press("Save the hypothesis")
    page.wait_for_url(re.compile(r"hypotheses\?hypothesis=[0-9a-f]{12}$"))


def freeze_and_run(person: Counted) -> int:
    """How many prompts are finished when the first is."""
    page = person.page
    person.press("Freeze…")
    person.click(page.get_by_role("button", name="Freeze it for good"))
    expect(main(page)).to_contain_text(re.compile("SHA-256 [0-9a-f]{64}, checked just now: it holds"))
    person.press("Run")
    return until(lambda: finished(page), 90)


def finished(page: Page) -> int:
    """How many prompts, as the page says while it runs."""
    found = main(page).get_by_text(re.compile(r"^\d+ of \d+ prompts are finished"))
    return int(found.inner_text().split()[0]) if found.count() else 0


def look_around_meanwhile(page: Page, record: Record) -> None:
    """The run does not hold up who looks at something else."""
    waits = []
    for name in ("System", "Library", "Trace"):
        start = time.monotonic()
        sidebar(page).get_by_role("link", name=name).click()
        expect(main(page).get_by_role("heading", name=name, level=1)).to_be_visible()
        idle(page)
        waits.append(time.monotonic() - start)
    page.close()
    record("another page while a hypothesis runs, s, median, worst", (round(median(waits), 2), round(max(waits), 2)))


def go_on(person: Counted, kept: int) -> None:
    page = person.page
    expect(main(page)).to_contain_text("checked just now: it holds")
    button = main(page).get_by_role("button", name=re.compile(r"Go on: \d+ of 6 prompts are kept"))
    assert int(button.inner_text().split("Go on: ")[1].split()[0]) >= kept
    person.click(button)


def read(page: Page, axe: str) -> None:
    expect(main(page)).to_contain_text("What speaks against it", timeout=120_000)
    idle(page)
    for part in ("Confirmatory", "All statistics", "To take along"):
        expect(main(page)).to_contain_text(part)
    assert flaws(page, axe, "evidence") == []
    page.set_viewport_size({"width": 390, "height": 844})
    until(lambda: not page.evaluate(WIDE) and not page.evaluate(CUT))
    page.set_viewport_size({"width": 1440, "height": 1000})
    idle(page)


def take_along(page: Page, folder: Path) -> None:
    """Report and bundle say what the page says."""
    verdict = main(page).get_by_text(re.compile("^(Supported|Refuted|Inconclusive): ")).inner_text()
    files = {}
    for name in ("Report (HTML)", "Bundle (zip)"):
        with page.expect_download() as waiting:
            press(page, name)
        files[name] = waiting.value.path().read_bytes()
    assert escape(verdict) in files["Report (HTML)"].decode()
    assert b"<script" not in files["Report (HTML)"].lower()
    bundle = folder / "bundle.zip"
    bundle.write_bytes(files["Bundle (zip)"])
    found = read_bundle(bundle).found
    assert found.verdict is not None
    assert (found.verdict.sentence, found.exploratory) == (verdict, None)


def listed(page: Page) -> None:
    sidebar(page).get_by_role("link", name="Hypotheses").click()
    expect(main(page).get_by_role("heading", name="Hypotheses", level=1)).to_be_visible()
    expect(main(page)).to_contain_text(re.compile("supported|refuted|inconclusive", re.I))

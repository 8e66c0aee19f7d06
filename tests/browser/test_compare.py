"""The Compare page on the default model in a real Chromium: two prompts, tokens by keyboard, files, a stopped run."""

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import idle, main, press
from tests.browser.looks import CUT, WIDE, flaws
from tests.browser.visiting import Visit

pytestmark = [pytest.mark.browser, pytest.mark.default_model]

BASE, OTHER = 'Le contraire de "petit" est "', "<b>Hecho</b>: Michael Jordan juega al"


def address(*columns: str, n: int) -> str:
    return "/compare?" + urlencode([*(("column", f"prompt:{column}") for column in columns), ("n", n)])


def said(page: Page, at: int) -> Locator:
    return main(page).get_by_role("list", name=f"Text of column {at}").get_by_role("listitem")


def test_two_prompts_are_compared_and_taken_along(visit: Visit, tmp_path: Path) -> None:
    page = visit("/compare")
    for at, prompt in enumerate((BASE, OTHER), start=1):
        field = main(page).get_by_role("textbox", name=f"Prompt of column {at}")
        field.fill(prompt)
        field.press("Control+Enter")
        idle(page)
    press(page, "Compare")
    expect(said(page, 1)).to_have_count(20)
    expect(said(page, 2).first).to_have_text(" baloncesto")
    assert main(page).locator("b").count() == 0, "a prompt is text"
    page.wait_for_url(re.compile(r"column=prompt"))
    said(page, 2).first.focus()
    page.keyboard.press("ArrowRight")
    expect(said(page, 2).nth(1)).to_be_focused()
    expect(main(page).get_by_role("status").nth(1)).to_contain_text("under column 1: changed by")
    said(page, 2).first.hover()
    expect(main(page).get_by_role("status").nth(1)).to_contain_text("␣baloncesto")
    heads = {"PNG": b"\x89PNG", "HTML": b"<!doctype html>", "CSV": b"column,condition"}
    for name, head in heads.items():
        with page.expect_download() as download:
            main(page).get_by_role("button", name=re.compile(f"^{name}")).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.read_bytes().startswith(head) and path.stat().st_size > 2000
    report = page.context.new_page()
    report.goto((tmp_path / "hypograph-comparison.html").as_uri())
    expect(report.get_by_role("heading", level=3)).to_have_count(4)
    report.close()

    press(page, "Compare")  # nothing has changed: what is there stays
    length = main(page).get_by_role("spinbutton", name="Tokens", exact=True)
    length.fill("100")
    length.press("Enter")
    idle(page)
    press(page, "Compare")
    main(page).get_by_role("button", name="Cancel").click()
    expect(main(page)).to_contain_text("Cancelled. Nothing of it was kept.")
    expect(said(page, 1)).to_have_count(20)


def test_the_page_fits_its_window(visit: Visit, axe: str) -> None:
    page = visit(address(BASE, OTHER, BASE + "W" * 30, n=4), height=2600)
    expect(main(page).get_by_role("button", name=re.compile("^HTML"))).to_be_visible()
    idle(page)
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 2600})
        page.wait_for_timeout(500)
        assert page.evaluate(WIDE) == [] and page.evaluate(CUT) == []
        assert flaws(page, axe, f"compare, {width}") == []

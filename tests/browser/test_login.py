"""The login in a real Chromium: nothing before it, a role after it. With PyPI's provider of the tests, and once with
npm's real one."""

import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.driver import main, sidebar, start_trace, type_prompt
from tests.browser.login_place import Place, dashboard, lab_of_three, log_in
from tests.helpers import saved, tiny_llama
from tests.serving import ROOT, free_port, wait_for

pytestmark = pytest.mark.browser

PAGES = ("", "graph", "steer", "compare", "hypotheses", "library", "batch", "system", "people", "privacy")
PROVIDER = ROOT / ".ci" / "node" / "node_modules" / "oidc-provider"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tiny_llama(), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def place(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with lab_of_three(tmp_path_factory.mktemp("lab"), model) as place:
        yield place


@pytest.fixture
def browser(chromium: Browser) -> Iterator[BrowserContext]:
    """Somebody's own."""
    with chromium.new_context(viewport={"width": 1440, "height": 1000}) as context:
        yield context


def log_out(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="End session").click()  # the provider's own page
    expect(page.get_by_role("button", name="Log in", exact=True)).to_be_visible()


def test_nothing_before_the_login(browser: BrowserContext, place: Place) -> None:
    page = browser.new_page()
    for path in PAGES:
        page.goto(f"{place.address}/{path}")
        expect(page.get_by_role("button", name="Log in", exact=True)).to_be_visible()
        assert main(page).inner_text().split("\n\n") == [
            "Hypograph",
            "This server is for people its lab knows.",
            "Log in",
        ]
        assert page.get_by_test_id("stSidebarNav").count() == 0
    assert not (place.home / "lab.sqlite").exists()  # not even the record was opened
    for path in ("_stcore/health", "_stcore/script-health-check", "_stcore/host-config"):
        with urllib.request.urlopen(f"{place.address}/{path}") as answer:
            assert not re.search(rb"tiny|lab\.example|hypograph", answer.read(), re.IGNORECASE)
    for path in (
        "media/x",
        "_stcore/upload_file/a/b",
        "lab.sqlite",
        "..%2flab.sqlite",
        "app/static/x",
        "pages/people.py",
    ):
        try:
            with urllib.request.urlopen(f"{place.address}/{path}") as answer:
                assert b'<div id="root">' in answer.read()  # the page's own frame, which asks for the login
        except urllib.error.HTTPError as refused:
            assert refused.code in (400, 403, 404, 405)


def test_a_viewer_looks_an_admin_makes_them_an_editor(browser: BrowserContext, chromium: Browser, place: Place) -> None:
    ben = browser.new_page()
    log_in(ben, place, "ben")
    expect(sidebar(ben)).to_contain_text("Ben · viewer")
    expect(sidebar(ben)).to_contain_text(" · cpu", timeout=60_000)
    expect(sidebar(ben).get_by_role("link", name="People")).to_have_count(0)
    type_prompt(ben, "w4 w9 w2", 4)
    start_trace(ben)
    expect(main(ben)).to_contain_text("your role here is viewer")
    ben.goto(f"{place.address}/people")
    expect(main(ben)).to_contain_text("your role here is viewer, and this is for an admin".capitalize())

    with chromium.new_context(viewport={"width": 1440, "height": 1000}) as own:
        ada = own.new_page()
        log_in(ada, place, "ada")
        sidebar(ada).get_by_role("link", name="People").click()
        ada.get_by_role("combobox", name="Role of Ben").fill("editor")
        ada.get_by_role("option", name="editor").click()
        expect(main(ada)).to_contain_text("Ben")
        expect(ada.get_by_role("combobox", name="Role of Ben")).to_have_value("editor")

    ben.goto(place.address)
    expect(sidebar(ben)).to_contain_text("Ben · editor")
    type_prompt(ben, "w4 w9 w2", 4)
    start_trace(ben)
    ben.wait_for_url(re.compile(r"/graph\?"), timeout=60_000)
    log_out(ben)


def test_who_is_not_of_the_lab_stays_outside(browser: BrowserContext, place: Place) -> None:
    page = browser.new_page()
    log_in(page, place, "eve")
    expect(main(page)).to_contain_text("This server does not let eve@other.example in")
    assert page.get_by_test_id("stSidebarNav").count() == 0
    log_out(page)


def test_with_a_real_provider(browser: BrowserContext, model: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not PROVIDER.exists():
        pytest.skip("oidc-provider is not installed (npm install --prefix .ci/node oidc-provider@9.13.3)")
    port, own = free_port(), free_port()
    redirect = f"http://127.0.0.1:{port}/oauth2callback"
    script = ROOT / "tests" / "browser" / "oidc_provider.mjs"
    provider = subprocess.Popen([node, script, PROVIDER, str(own), redirect], stderr=subprocess.DEVNULL)
    at = f"http://127.0.0.1:{own}"
    try:
        wait_for(f"{at}/.well-known/openid-configuration", provider)
        with dashboard(tmp_path, model, port, at, "a secret of the tests") as place:
            page = browser.new_page()
            page.goto(place.address)
            page.get_by_role("button", name="Log in", exact=True).click()
            page.get_by_placeholder("Enter any login").fill("ada")
            page.get_by_placeholder("and password").fill("anything")
            page.get_by_role("button", name="Sign-in").click()
            page.get_by_role("button", name="Continue").click()
            expect(sidebar(page)).to_contain_text("The ada · admin", timeout=60_000)
    finally:
        provider.terminate()
        provider.wait(10)

"""A lab's server as deploy/ sets it up: two replicas on one PostgreSQL behind a real nginx with the shipped site, whose
second one runs from the files that the container image gets."""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, BrowserContext, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.browser.driver import (
    FEATURE,
    circuit,
    clear_nodes,
    click_node,
    expect_card,
    idle,
    main,
    pins,
    press,
    short_link,
    sidebar,
    switch_on,
    trace,
    type_prompt,
    until,
)
from tests.deploy.image import put_together
from tests.deploy.site import PASSWORD, SECRET, Site, nginx
from tests.helpers import saved, tiny_llama
from tests.lab.conftest import postgres  # noqa: F401
from tests.serving import free_port, serving

pytestmark = [pytest.mark.browser, pytest.mark.nginx, pytest.mark.postgresql]

PAGES = ("", "graph", "steer", "compare", "hypotheses", "library", "batch", "system", "people", "privacy")


@dataclass
class Team:
    site: Site  # as it is shipped
    login: Site  # the same, where nginx asks who it is
    replicas: tuple[int, int]  # ports
    tickets: dict[int, str]  # the cookie that leads to a replica


@pytest.fixture(scope="module")
def team(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:  # noqa: F811
    folder = tmp_path_factory.mktemp("team")
    image = put_together(folder / "image")
    home = folder / "home"
    home.mkdir()
    settings = {
        "HYPOGRAPH_MODEL": str(saved(tiny_llama(), folder / "model")),
        "HYPOGRAPH_DATABASE_URL": postgres,
        "HYPOGRAPH_ADMINS": "ada",
        "HYPOGRAPH_USER_HEADER": "X-Hypograph-User",
        "HYPOGRAPH_PROXY_SECRET": SECRET,
        "STREAMLIT_SERVER_COOKIE_SECRET": "one for both: of the tests alone",
    }
    first, second = free_port(), free_port()
    with ExitStack() as stack:
        site = stack.enter_context(nginx(made(folder / "site"), (first, second), with_login=False))
        login = stack.enter_context(nginx(made(folder / "login"), (first, second), with_login=True))
        stack.enter_context(serving(home, port=first, base="lab", **settings))
        stack.enter_context(serving(home, port=second, base="lab", root=image, **settings))
        yield Team(site, login, (first, second), tickets(site, (first, second)))


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def tickets(site: Site, replicas: tuple[int, int]) -> dict[int, str]:
    """Of newcomers, until one was sent to each replica."""
    found: dict[int, str] = {}
    while set(found) != set(replicas):
        before = len(site.visits())
        answer = site.ask("/lab/_stcore/health")
        ticket = re.search(r"hypograph_replica=(\w{32}); Path=/lab/; ", str(answer.headers))
        assert answer.status == 200 and ticket
        until(lambda before=before: len(site.visits()) > before)  # the log is written after the answer
        replica = int(site.visits()[-1][2].rpartition(":")[2])
        found.setdefault(replica, ticket[1])
    return found


@contextmanager
def person(chromium: Browser, team: Team, name: str, replica: int) -> Iterator[BrowserContext]:
    """With the cookie that leads to this replica."""
    login: Any = {"username": name, "password": PASSWORD}
    with chromium.new_context(
        ignore_https_errors=True, http_credentials=login, viewport={"width": 1440, "height": 1000}
    ) as context:
        ticket: Any = {"name": "hypograph_replica", "value": team.tickets[replica], "url": f"{team.login.address}/lab/"}
        context.add_cookies([ticket])
        yield context


def address(team: Team, page: str = "") -> str:
    return f"{team.login.address}/lab/{page}"


def said(site: Site, **headers: str) -> str:
    """What the first page says to whoever sends these headers, as far as its websocket tells."""
    target = f"wss://localhost:{site.port}/lab/_stcore/stream"
    words = ""
    with connect(
        target,
        ssl=site.trust,
        additional_headers=headers,
        subprotocols=["streamlit"],
        max_size=None,  # type: ignore[list-item]
    ) as socket:
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        socket.send(ask.SerializeToString())
        while True:
            message = ForwardMsg()
            data = socket.recv(timeout=60)
            assert isinstance(data, bytes)
            message.ParseFromString(data)
            words += str(message.delta)
            if message.WhichOneof("type") == "script_finished":
                return words


# -- what comes through -----------------------------------------------------------------------------------------------


def test_figures_are_for_the_machine_alone(team: Team) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{team.replicas[0]}/lab/_stcore/metrics") as answer:
        assert answer.status == 200
    assert team.site.ask("/lab/_stcore/metrics").status == 404


def test_who_writes_the_proxys_headers_is_not_believed(team: Team) -> None:
    forged = {"X-Hypograph-User": "ada", "X-Hypograph-Proxy": SECRET}
    assert "this server is reached through its proxy only" in said(team.site, **forged).lower()


def test_a_websocket_of_another_page_is_refused(team: Team) -> None:
    assert said(team.site, Origin=team.site.address)
    with pytest.raises(InvalidStatus) as refused:
        said(team.site, Origin="https://other.example")
    assert refused.value.response.status_code == 403


# -- people -----------------------------------------------------------------------------------------------------------


def test_a_team_of_two_on_two_replicas(team: Team, chromium: Browser) -> None:
    first, second = team.replicas
    problems: list[str] = []  # what the policy stopped, and scripts that failed
    with person(chromium, team, "ada", first) as hers, person(chromium, team, "ben", second) as his:
        ada, ben = hers.new_page(), his.new_page()
        for page in (ada, ben):
            page.on("console", lambda message: problems.extend(stopped(message.text)))
            page.on("pageerror", lambda error: problems.append(str(error)))
        ben.goto(address(team))
        expect(sidebar(ben)).to_contain_text("ben · ", timeout=60_000)
        ada.goto(address(team))
        expect(sidebar(ada)).to_contain_text("ada · admin", timeout=60_000)
        expect(sidebar(ada)).to_contain_text(" · cpu", timeout=60_000)

        link = save_a_circuit(ada)
        assert link.startswith("/graph?circuit=")
        ben.goto(address(team, link[1:]))
        expect(circuit(ben).get_by_role("textbox", name="Title")).to_have_value("Ball games")
        assert pins(ben) == pins(ada)

        make_editor(ada, team)
        ben.goto(address(team))
        expect(sidebar(ben)).to_contain_text("ben · editor")

        every_page(ada, team)
    assert problems == []
    visits = team.login.visits()
    assert ("ada", "/lab/_stcore/stream") in {visit[:2] for visit in visits}
    assert {visit[2] for visit in visits if visit[0] == "ada"} == {f"127.0.0.1:{first}"}
    assert {visit[2] for visit in visits if visit[0] == "ben"} == {f"127.0.0.1:{second}"}


def save_a_circuit(page: Page) -> str:
    """Its link. On the way all is drawn that the policy might stop: a chart, the canvas, the circuit in its frame."""
    type_prompt(page, "w4 w9 w2", 4)
    expect(main(page).get_by_test_id("stVegaLiteChart").locator("canvas, svg").first).to_be_visible()
    trace(page, "w4 w9 w2", 4)
    expect_card(page, click_node(page, clear_nodes(page, FEATURE)[0]))
    press(page, "Pin")
    until(lambda: len(pins(page)) == 1)
    title = circuit(page).get_by_role("textbox", name="Title")
    title.fill("Ball games")
    title.press("Enter")
    expect(circuit(page)).to_contain_text("not saved")
    press(page, "Save")
    expect(circuit(page)).to_contain_text("saved, version 1")
    switch_on(page, "Draw the circuit, and make groups")
    expect(page.frame_locator("iframe").locator("canvas")).to_be_visible()
    return short_link(page)


def make_editor(ada: Page, team: Team) -> None:
    ada.goto(address(team, "people"))
    role = ada.get_by_role("combobox", name="Role of ben")
    role.fill("editor")
    ada.get_by_role("option", name="editor").click()
    expect(role).to_have_value("editor")
    idle(ada)


def every_page(page: Page, team: Team) -> None:
    for path in PAGES:
        page.goto(address(team, path))
        expect(main(page).get_by_role("heading", level=1)).to_be_visible()
        idle(page)


def stopped(message: str) -> list[str]:
    """By the Content-Security-Policy, as the browser's console says it."""
    return [message] if "Content Security Policy" in message else []

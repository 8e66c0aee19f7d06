"""Somebody who has not logged in, without a browser: every page, every endpoint, and the websocket itself."""

import json
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.attacks.conftest import SECRET, SHARED, Target, tells
from tests.attacks.raw import Tab, Visitor

PAGES = ("", "graph", "steer", "compare", "hypotheses", "library", "batch", "system", "people", "privacy")


def only_the_login(tab: Tab) -> None:
    assert list(tab.buttons()) == ["Log in"] and not tells(tab.said)
    heads = [m.delta.new_element.heading.body for m in tab.came if m.delta.new_element.WhichOneof("type") == "heading"]
    assert set(heads) == {"Hypograph"}


def links(target: Target) -> list[tuple[str, str]]:
    ids = target.ids
    return [
        ("graph", f"circuit={ids['circuit']}"),
        ("hypotheses", f"hypothesis={ids['hypothesis']}"),
        ("hypotheses", f"write=new&circuit={ids['circuit']}"),
        ("compare", f"column=run:{ids['circuit']}"),
        ("steer", f"run={ids['circuit']}"),
    ]


def test_what_is_there_is_seen_by_who_may(ada_visits: Visitor) -> None:
    """Or the tests below would prove nothing."""
    with ada_visits.tab() as tab:
        said = tab.ask("library").said
    assert SECRET in said and SHARED in said


def test_every_page_is_the_login(nobody: Visitor, target: Target) -> None:
    with nobody.tab() as tab:
        hashes = tab.ask().pages()
        assert set(hashes) == set(PAGES)
        for path in PAGES:
            tab.ask(path)
            tab.ask(page_hash=hashes[path])
        for path, query in links(target):
            tab.ask(path, query)
            tab.ask(page_hash=hashes[path], query=query)
        tab.ask(page_hash="0" * 32)
        only_the_login(tab)


def test_a_page_asked_for_first_is_the_login(nobody: Visitor, ada_visits: Visitor) -> None:
    """By its hash, by somebody who has not seen the navigation."""
    with ada_visits.tab() as tab:
        hashes = tab.ask().pages()
    for page in hashes.values():
        with nobody.tab() as tab:
            only_the_login(tab.ask(page_hash=page))


@pytest.mark.parametrize("kind", ["clear_cache", "load_git_info", "fragment", "shut down", "heartbeat", "no message"])
def test_other_messages_tell_and_do_nothing(nobody: Visitor, ada_visits: Visitor, kind: str) -> None:
    with nobody.tab() as tab:
        asked = BackMsg()
        if kind == "fragment":
            asked.rerun_script.fragment_id = "x"
        elif kind == "shut down":
            asked.debug_shutdown_runtime = True
        elif kind == "heartbeat":
            asked.app_heartbeat = True
        elif kind != "no message":
            setattr(asked, kind, True)
        tab.connection.send(asked.SerializeToString())
        only_the_login(tab.ask())
    with ada_visits.tab() as tab:  # who is there goes on
        assert SHARED in tab.ask("library").said


def signed(cookie: dict[str, Any], secret: str) -> str:
    return TimestampSigner(secret).sign(json.dumps(cookie)).decode()


def test_a_cookie_of_ones_own_making_is_nobodys(nobody: Visitor) -> None:
    claims = {"iss": "x", "sub": "ada", "email": "ada@lab.example", "email_verified": True, "is_logged_in": True}
    claims |= {"origin": nobody.address, "provider": "default"}
    for cookie in (json.dumps(claims), signed(claims, ""), signed(claims, "hypograph"), "x" * 4000, "%00"):
        cookies = f"_streamlit_xsrf={nobody.token}; _streamlit_user={cookie}"
        with nobody.tab(cookies=cookies) as tab:
            only_the_login(tab.ask())


GET = (
    "_stcore/health",
    "_stcore/script-health-check",
    "_stcore/host-config",
    "_stcore/metrics",
    "_stcore/metrics?families=cache_memory_bytes&families=x",
    "_stcore/upload_file/a/b",
    "_stcore/agent/interact",
    "_stcore/agent/mcp",
    "_stcore/agent/openapi.json",
    "_stcore/bidi-components/hypograph_graph_canvas/../../../app.py",
    "_stcore/stream",
    "component/streamlit_agraph.agraph/../../../../../etc/passwd",
    "component/streamlit_agraph.agraph/%2e%2e/%2e%2e/__init__.py",
    "component/x/index.html",
    "media/" + "0" * 56 + ".json",
    "media/../lab.sqlite",
    "static/../../app.py",
    "static/%2e%2e/%2e%2e/config.py",
    "app/static/lab.sqlite",
    "lab.sqlite",
    "..%2flab.sqlite",
    "..%5c..%5clab.sqlite",
    "pages/people.py",
    ".streamlit/secrets.toml",
    "//evil.example/x",
    "oauth2callback",
    "auth/logout",
    "auth/login",
)


@pytest.mark.parametrize("path", GET)
def test_every_endpoint_tells_nothing(nobody: Visitor, path: str) -> None:
    answer = nobody.http.get(f"{nobody.address}/{path}")
    assert answer.status_code in (200, 302, 307, 400, 403, 404, 405, 426)
    assert not tells(answer.text) and "import streamlit" not in answer.text and "root:" not in answer.text
    if answer.has_redirect_location:
        assert answer.headers["location"].split("?")[0] in ("/", f"{nobody.address}/")
    if answer.status_code == 200 and "html" in answer.headers["content-type"]:
        assert '<div id="root">' in answer.text  # the page's own frame, which asks for the login


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["", "_stcore/agent/interact", "_stcore/agent/mcp", "media/x", "oauth2callback"])
def test_nothing_is_taken(nobody: Visitor, method: str, path: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = nobody.http.request(method, f"/{path}", json=body)
    assert answer.status_code in (400, 403, 404, 405) and not tells(answer.text)


def test_a_file_is_taken_from_who_is_here_alone(nobody: Visitor, ben_visits: Visitor) -> None:
    """Else anybody could fill the memory."""
    for visitor, status in ((nobody, 403), (ben_visits, 204)):
        with visitor.tab() as tab:
            put = f"/_stcore/upload_file/{tab.ask('library').session}/f"
            sent = {"files": {"f": ("g.json", b"{}")}, "headers": {"X-Xsrftoken": visitor.token}}
            assert visitor.http.put(put, **sent).status_code == status  # type: ignore[arg-type]
            unsent = visitor.http.put(put, files={"f": ("g.json", b"{}")})
            assert unsent.status_code == 403  # without its token: another site's page

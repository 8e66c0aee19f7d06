"""What another site's page can do in the browser of somebody who is logged in; and a name that is made to lead here."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.attacks.conftest import SHARED, Target, tells
from tests.attacks.raw import Visitor
from tests.attacks.test_outside import only_the_login
from tests.serving import serving

FOREIGN = (
    "https://evil.example",
    "http://127.0.0.1.evil.example",
    "http://evil.example/?http://127.0.0.1",
    "http://localhost@evil.example",
    "null",
    "file://",
)


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_websocket_of_another_site_is_refused(ada_visits: Visitor, origin: str) -> None:
    """The browser sends her cookies along."""
    with pytest.raises(InvalidStatus, match="403"), ada_visits.tab(origin=origin):
        pass


def test_her_cookies_are_not_enough(ada_visits: Visitor) -> None:
    """The token must come with them, which another site can't read; and an origin."""
    for told in ({"token": ""}, {"token": "2|00000000|0000|1"}, {"origin": None}):
        with ada_visits.tab(**told) as tab:  # type: ignore[arg-type]
            only_the_login(tab.ask("library"))
    with ada_visits.tab() as tab:
        assert SHARED in tab.ask("library").said


def test_a_name_that_is_made_to_lead_here_is_not_the_origin_of_the_login(ada_visits: Visitor) -> None:
    port = urlsplit(ada_visits.address).port
    with ada_visits.tab(origin=f"http://evil.example:{port}", host=f"evil.example:{port}") as tab:
        only_the_login(tab.ask("library"))


@pytest.fixture(scope="module")
def alone(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without a login, whose visitor is its admin."""
    with serving(tmp_path_factory.mktemp("alone"), HYPOGRAPH_MODEL=str(tiny_model)) as server:
        yield server.address


def test_dns_rebinding(alone: str) -> None:
    """Where nobody logs in, a page at evil.example whose name now leads to 127.0.0.1 would be at home."""
    visitor, port = Visitor(alone), urlsplit(alone).port
    for name in (f"evil.example:{port}", "localhost.evil.example", f"0.0.0.0:{port}", "192.168.1.2"):
        with visitor.tab(host=name, origin=f"http://{name}") as tab:
            tab.ask("system")
            assert "opened as http://localhost" in tab.said and not tab.buttons() and not tells(tab.said)
            put = visitor.http.put(
                f"/_stcore/upload_file/{tab.session}/f",
                files={"f": ("g.json", b"{}")},
                headers={"X-Xsrftoken": visitor.token},
            )
            assert put.status_code == 403
    for name in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        with visitor.tab(host=name, origin=f"http://{name}") as tab:
            assert "Switch the model" in tab.ask("system").said
    visitor.close()


def test_cookies_are_not_for_scripts_nor_for_other_sites(target: Target) -> None:
    visitor = Visitor(target.address)
    came: list[str] = []
    visitor.http.event_hooks["response"] = [lambda answer: came.extend(answer.headers.get_list("set-cookie"))]
    visitor.log_in("ben")
    flags = {cookie.partition("=")[0]: cookie.lower() for cookie in came if "max-age=0" not in cookie.lower()}
    assert {"_streamlit_user", "_streamlit_user_tokens"} <= set(flags)
    for name, told in flags.items():
        assert "samesite=lax" in told, name
        assert "httponly" in told or name == "_streamlit_xsrf", name  # that one is for the page's own script
    visitor.close()


def test_nobody_is_logged_in_as_the_attacker(target: Target, ben_visits: Visitor) -> None:
    """Login CSRF: the attacker's own answer of the provider, opened in the browser of somebody else."""
    with ben_visits.tab() as tab:
        tab.ask().ask(click=tab.buttons()["Log out"])
    attacker = Visitor(target.address)
    answer = attacker.answer("ben")
    victim = Visitor(target.address)
    refused = victim.http.get(answer)
    assert refused.status_code == 302 and "_streamlit_user" not in victim.http.cookies
    attacker.http.get(answer)
    assert "_streamlit_user" in attacker.http.cookies
    attacker.http.cookies.delete("_streamlit_user")
    attacker.http.get(answer)  # once more
    assert "_streamlit_user" not in attacker.http.cookies
    for visitor in (attacker, victim):
        visitor.close()


@pytest.mark.parametrize(
    "query",
    [
        "code=x&state=y",
        "state=",
        "error=%3Cscript%3E&error_description=%0d%0aSet-Cookie:%20x=1",
        "code[]=1&state[]=2",
        "state=" + "x" * 4000,
        "iss=https://evil.example&code=x&state=y",
        "next=https://evil.example&redirect_uri=https://evil.example",
    ],
)
def test_the_callback_with_rubbish(nobody: Visitor, query: str) -> None:
    answer = nobody.http.get(f"/oauth2callback?{query}")
    assert answer.status_code == 302 and answer.headers["location"] == "/"
    assert "_streamlit_user" not in nobody.http.cookies and "x" not in nobody.http.cookies


WAYS_OUT = ["next", "redirect", "redirect_uri", "return_to", "url", "continue", "post_logout_redirect_uri"]


@pytest.mark.parametrize("path", ["/auth/login", "/auth/logout", "/oauth2callback", "/"])
@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "https:evil.example"])
def test_no_way_out_to_another_site(nobody: Visitor, path: str, to: str) -> None:
    for headers in ({}, {"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"Referer": to}):
        answer = nobody.http.get(path, params=dict.fromkeys(WAYS_OUT, to), headers=headers)
        assert "evil" not in answer.headers.get("location", "")


def test_the_provider_sends_people_back_here_alone(nobody: Visitor) -> None:
    with nobody.tab() as tab:
        tab.ask().ask(click=tab.buttons()["Log in"])
        (way,) = tab.redirects()
    for more in ("", "&redirect_uri=https://evil.example&next=https://evil.example"):
        for headers in ({}, {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}):
            there = nobody.http.get(f"{nobody.address}{way}{more}", headers=headers).headers["location"]
            asked = parse_qs(urlsplit(there).query)
            assert asked["redirect_uri"] == [f"{nobody.address}/oauth2callback"] and "evil" not in there
    forged = nobody.http.get("/auth/login?provider=" + way.partition("provider=")[2][:-4] + "AAAA")
    assert forged.headers["location"] == "/"


def test_logging_out_at_another_sites_wish_changes_nothing_here(ada_visits: Visitor) -> None:
    """An image of another site may ask for it, without her cookies (SameSite) and without effect on the server."""
    httpx.get(
        f"{ada_visits.address}/auth/logout", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    with ada_visits.tab() as tab:
        assert SHARED in tab.ask("library").said


def test_no_answer_lets_another_site_read_it(ada_visits: Visitor) -> None:
    for path in ("_stcore/health", "_stcore/host-config", "_stcore/metrics", "media/x", "_stcore/upload_file/a/b", ""):
        for method in ("GET", "OPTIONS"):
            answer = ada_visits.http.request(method, f"/{path}", headers={"Origin": "https://evil.example"})
            allowed = answer.headers.get("access-control-allow-origin", "")
            assert not re.search(r"evil|\*|null", allowed), path

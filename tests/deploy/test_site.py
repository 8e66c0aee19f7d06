"""The shipped nginx site before two small servers that say what reached them. Before the real ones, with people in
front: tests/browser/test_team_server.py."""

import base64
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import pytest

from tests.browser.driver import until
from tests.deploy.site import PASSWORD, SECRET, SITE, Site, nginx

pytestmark = pytest.mark.nginx


@dataclass
class Behind:
    site: Site  # as it is shipped
    login: Site  # where nginx asks who it is
    reached: dict[int, list[Message]]  # the headers of each request, by the port of the server that got it


@contextmanager
def listening() -> Iterator[tuple[int, list[Message]]]:
    reached: list[Message] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.headers)
            self.send_response(200)
            self.send_header("Set-Cookie", "_streamlit_xsrf=1; Path=/")
            self.send_header("Content-Type", "text/javascript" if self.path.endswith(".js") else "application/json")
            self.end_headers()
            self.wfile.write(b" " * 1000)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, reached
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with ExitStack() as stack:
        reached = dict(stack.enter_context(listening()) for _ in range(2))
        first, second = reached
        site, login = (
            stack.enter_context(nginx(tmp_path_factory.mktemp("site"), (first, second), with_login))
            for with_login in (False, True)
        )
        yield Behind(site, login, reached)


def last(behind: Behind, site: Site, **headers: str) -> Message:
    """The headers that reach a server from who sends these."""
    for messages in behind.reached.values():
        messages.clear()
    assert site.ask("/lab/graph", headers=headers).status == 200
    (message,) = [one for messages in behind.reached.values() for one in messages]
    return message


def test_what_is_refused(behind: Behind) -> None:
    site = behind.site
    for path in (
        "_stcore/metrics",
        "_stcore/metrics/",
        "/_stcore//metrics",
        "_stcore/%6detrics",
        "x/../_stcore/metrics",
        "healthz",
        "readyz",
        "metrics",
    ):
        assert site.ask("/lab/" + path).status == 404, path
    assert site.ask("/_stcore/metrics").status == 404
    assert site.ask("/lab/_stcore/upload_file/a/b", "PUT", {"Content-Length": str(56 << 20)}).status == 413
    with pytest.raises(RemoteDisconnected):
        site.ask("/lab/", headers={"Host": "other.example"})
    assert behind.login.ask("/lab/").status == 401


def test_headers_of_every_answer(behind: Behind) -> None:
    for path in ("/", "/lab/", "/lab/_stcore/metrics", "/lab/_stcore/stream"):
        headers = behind.site.ask(path).headers
        policy = headers["Content-Security-Policy"]
        assert (
            "frame-ancestors 'self'" in policy and "unsafe-eval" not in policy and "script-src 'self' blob:" in policy
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert headers["Server"] == "nginx"  # no version


def test_scripts_are_compressed(behind: Behind) -> None:
    """What else there is Streamlit compresses itself, where it wants to."""
    asked = {"Accept-Encoding": "gzip"}
    assert behind.site.ask("/lab/static/index.js", headers=asked).headers["Content-Encoding"] == "gzip"
    assert behind.site.ask("/lab/media/script.js", headers=asked).headers["Content-Encoding"] is None


def test_the_policy_knows_the_scripts_inside_the_installed_pages() -> None:
    """A new version of either changes its hash."""
    pages = ("streamlit", "static/index.html"), ("streamlit_agraph", "frontend/build/index.html")
    scripts = [
        script
        for package, page in pages
        for script in re.findall("<script>(.*?)</script>", (files(package) / page).read_text("utf-8"), re.DOTALL)
    ]
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert hashes == set(re.findall(r"'sha256-([^']+)'", SITE.read_text()))


def test_what_a_server_is_told(behind: Behind) -> None:
    told = last(behind, behind.site, Upgrade="websocket", Connection="Upgrade")
    assert (told["Upgrade"], told["Connection"]) == ("websocket", "upgrade")
    assert told["Host"] == f"localhost:{behind.site.port}"  # a websocket's Origin is compared with it
    assert (told["X-Forwarded-For"], told["X-Forwarded-Proto"]) == ("127.0.0.1", "https")
    forged = last(behind, behind.site, **{"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "http"})
    assert forged.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert forged.get_all("X-Forwarded-Proto") == ["https"]


def test_only_nginx_says_who_asks(behind: Behind) -> None:
    forged = {"X-Hypograph-User": "ben", "X-Hypograph-Proxy": SECRET, "X_Hypograph_User": "ben"}
    told = last(behind, behind.site, **forged)
    assert not [name for name in told if "hypograph" in name.lower()]
    ada = "Basic " + base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    told = last(behind, behind.login, Authorization=ada, **forged)
    assert told.get_all("X-Hypograph-User") == ["ada"]
    assert told.get_all("X-Hypograph-Proxy") == [SECRET]


def test_a_person_stays_on_one_replica(behind: Behind) -> None:
    replicas = set()
    for _ in range(12):
        for messages in behind.reached.values():
            messages.clear()
        cookies = behind.site.ask("/lab/").headers.get_all("Set-Cookie", [])
        (ticket,) = [cookie for cookie in cookies if cookie.startswith("hypograph_replica=")]
        assert ticket.endswith("; Path=/lab/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax")
        assert "_streamlit_xsrf=1; Path=/; Secure" in cookies
        mine = {"Cookie": ticket.partition(";")[0]}
        for path in ("/lab/", "/lab/graph", "/lab/_stcore/stream"):
            again = behind.site.ask(path, headers=mine).headers.get_all("Set-Cookie", [])
            assert not [cookie for cookie in again if cookie.startswith("hypograph_replica=")]
        (chosen,) = [port for port, messages in behind.reached.items() if messages]
        assert len(behind.reached[chosen]) == 4
        replicas.add(chosen)
    assert len(replicas) == 2  # 12 newcomers on one: once in 2,000 runs


def test_the_log_has_no_question(behind: Behind) -> None:
    asked = "/lab/compare?column=a+prompt+of+somebody"
    with closing(HTTPConnection("localhost", behind.site.plain_port, timeout=20)) as connection:
        connection.request("GET", asked)
        assert connection.getresponse().status == 301
    behind.site.ask(asked)
    until(lambda: "/lab/compare" in behind.site.log.read_text())  # it is written after the answer
    logs = [path for path in behind.site.log.parent.iterdir() if path.suffix == ".log"]
    assert not [path for path in logs if "somebody" in path.read_text()]


def test_without_tls_it_leads_to_tls(behind: Behind) -> None:
    with closing(HTTPConnection("localhost", behind.site.plain_port, timeout=20)) as connection:
        connection.request("GET", "/lab/graph?graph=1")
        answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, "https://localhost/lab/graph?graph=1")

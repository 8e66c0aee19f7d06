"""Publishing on Neuronpedia, by its own package, against a server that checks the requests: not the live one."""

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.upload import UploadError, upload
from tests.helpers import PROMPT, replacement, tiny_llama
from tracer.interchange import neuronpedia, schema

KEY = "s3cret-key"


class StandIn(ThreadingHTTPServer):
    """Answers as Neuronpedia does (study/neuronpedia.md §4); keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}  # path → another answer

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        if (method, path) == ("POST", "/api/graph/signed-put"):
            return 200, {"url": f"{self.address}/bucket/a-graph.json?signature=x", "putRequestId": "put-1"}
        if (method, path) == ("PUT", "/bucket/a-graph.json?signature=x"):
            return 200, {}
        if (method, path) == ("POST", "/api/graph/save-to-db"):
            return 200, {"message": "Graph saved", "url": f"{self.address}/tiny/graph?slug=a-graph"}
        if (method, path) == ("GET", "/api/graph/tiny/a-graph"):
            return 200, {
                "id": "1",
                "modelId": "tiny",
                "slug": "a-graph",
                "promptTokens": ["a"],
                "prompt": "a",
                "titlePrefix": "",
                "url": f"{self.address}/bucket/a-graph.json",
            }
        return 404, {"message": "no such path"}


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status, data = self.server.answers.get(self.path) or self.server.answer(self.command, self.path)
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = handle_any

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[StandIn]:
    server = StandIn()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("graphs") / "g.json"
    graph = replacement(tiny_llama()).trace(PROMPT, max_nodes=40)
    neuronpedia.save(graph, path, "a-graph", labels={graph.ids[0]: "a label"}, notice="terms", creator="Ann")
    return path.read_bytes()


def test_what_is_sent(site: StandIn, document: bytes) -> None:
    assert upload(document, site.address, KEY) == f"{site.address}/tiny/graph?slug=a-graph"
    asked = [(method, path) for method, path, _, _ in site.seen]
    assert asked == [
        ("POST", "/api/graph/signed-put"),
        ("PUT", "/bucket/a-graph.json?signature=x"),
        ("POST", "/api/graph/save-to-db"),
        ("GET", "/api/graph/tiny/a-graph"),
    ]
    (_, _, signed_headers, signed), (_, _, put_headers, put), (_, _, _, saved), _ = site.seen
    assert json.loads(signed) == {
        "filename": "a-graph.json",
        "contentLength": len(put),
        "contentType": "application/json",
    }
    assert put_headers["Content-Encoding"] == "gzip" and gzip.decompress(put) == document
    schema.check(gzip.decompress(put))
    assert json.loads(saved) == {"putRequestId": "put-1"}
    assert signed_headers["X-Api-Key"] == KEY
    assert KEY not in str(put_headers)  # the store of files is another's


def test_the_key_is_neither_printed_nor_logged(
    site: StandIn, document: bytes, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    upload(document, site.address, KEY)
    said = "".join(capfd.readouterr()) + caplog.text
    assert "signed-put" in said and KEY not in said


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        ("/api/graph/signed-put", (401, b"{}"), "refused the key"),
        ("/api/graph/signed-put", (429, b"{}"), "no more graphs for now"),
        ("/api/graph/signed-put", (400, b'{"message": "Model + Slug Exists"}'), "Model \\+ Slug Exists"),
        ("/api/graph/signed-put", (400, b"<html>"), "did not take the graph"),
        ("/api/graph/signed-put", (500, b"oops"), "Server error occurred"),
        ("/api/graph/signed-put", (200, b"<html>"), "invalid JSON"),
        ("/api/graph/signed-put", (200, b"[]"), "not understood"),
        ("/api/graph/signed-put", (200, b"{}"), "not understood"),
        ("/api/graph/signed-put", (200, b'{"url": 7, "putRequestId": "x"}'), "did not take|not understood"),
        ("/bucket/a-graph.json?signature=x", (403, b"denied\n" + KEY.encode()), "Failed to upload"),
        ("/api/graph/save-to-db", (400, b'{"message": "ERR_MODEL_DOES_NOT_EXIST"}'), "ERR_MODEL_DOES_NOT_EXIST"),
        ("/api/graph/tiny/a-graph", (404, b"{}"), "not found"),
    ],
)
def test_what_goes_wrong_is_one_line_without_the_key(
    site: StandIn, document: bytes, path: str, answer: tuple[int, bytes], message: str
) -> None:
    site.answers[path] = answer
    with pytest.raises(UploadError, match=message) as caught:
        upload(document, site.address, KEY)
    assert "\n" not in str(caught.value) and KEY not in str(caught.value) and len(str(caught.value)) < 450


def test_a_key_that_can_not_be_sent_is_not_shown(site: StandIn, document: bytes) -> None:
    with pytest.raises(UploadError, match="characters that can't be sent") as caught:
        upload(document, site.address, "s3cret\nkey")
    assert "s3cret" not in str(caught.value) and caught.value.__cause__ is None
    assert site.seen == []


def test_a_site_that_is_not_there(document: bytes) -> None:
    with pytest.raises(UploadError, match=r"can.t be reached at http://127\.0\.0\.1:1"):
        upload(document, "http://127.0.0.1:1", KEY)


def test_a_site_that_says_nothing(site: StandIn, document: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.upload.SECONDS", 0.2)
    monkeypatch.setattr(site, "answer", lambda *_: threading.Event().wait(1) or (200, {}))
    with pytest.raises(UploadError, match="can't be reached"):
        upload(document, site.address, KEY)


def test_a_file_of_settings_in_the_checkout_is_not_read(site: StandIn, document: bytes) -> None:
    import os

    upload(document, site.address, KEY)
    assert os.environ["PYTHON_DOTENV_DISABLED"] == "1"

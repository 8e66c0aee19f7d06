"""A Hub on this machine: just enough of its HTTP interface to download from, or to be refused."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

COMMIT = "c0ffee" + "0" * 34


@contextmanager
def fake_hub(
    models: dict[str, Path],
    gated: str | None = None,
    token: str | None = None,
    revisions: tuple[str, ...] = ("main",),
) -> Iterator[str]:
    """Serves folders by id, all revisions alike; files of the id `gated` only to who shows the token.

    Yields the address.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(self.path.split("?")[0])
            for id, folder in models.items():
                if path.startswith(f"/api/models/{id}/revision/"):
                    if path.removeprefix(f"/api/models/{id}/revision/") not in revisions:
                        return self.answer(404, b"{}", "RevisionNotFound")
                    return self.answer(200, json.dumps({"id": id, "sha": COMMIT, "siblings": []}).encode())
                if path == f"/api/models/{id}/tree/{COMMIT}":
                    files = [{"type": "file", "path": p.relative_to(folder).as_posix(), "size": p.stat().st_size,
                              "oid": "0" * 40} for p in folder.rglob("*") if p.is_file()]  # fmt: skip
                    return self.answer(200, json.dumps(files).encode())
                if path.startswith(f"/{id}/resolve/{COMMIT}/"):
                    if id == gated and self.headers.get("authorization") != f"Bearer {token}":
                        return self.answer(403 if self.headers.get("authorization") else 401, b"", "GatedRepo")
                    return self.answer(200, (folder / path.removeprefix(f"/{id}/resolve/{COMMIT}/")).read_bytes())
            return self.answer(404, b"{}", "RepoNotFound")

        do_HEAD = do_GET

        def answer(self, status: int, body: bytes, error: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            if error:
                self.send_header("X-Error-Code", error)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def on_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An empty cache of the Hub in `folder` and no token; and a function to go on line to a Hub at an address."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))

    def go(address: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    return go

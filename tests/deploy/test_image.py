"""The container's files, as far as no Docker engine is needed. What the image would run is run elsewhere: one replica
of tests/browser/test_team_server.py has just the files that it copies."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.image import DOCKERFILE, copied, instructions
from tests.deploy.site import SITE
from tests.serving import ROOT

IGNORED = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()


def compose(name: str = "compose.yaml") -> Any:
    return yaml.safe_load((ROOT / "deploy" / name).read_text())


@pytest.mark.nginx
def test_the_dockerfile_is_linted() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    if not linter.exists():
        pytest.skip("hadolint is not installed (requirements-dev.txt)")
    found = subprocess.run([linter, "--failure-threshold", "style", DOCKERFILE], capture_output=True, text=True)
    assert found.stdout == ""
    assert found.returncode == 0


def test_what_it_copies_is_what_it_is_given() -> None:
    given = {line[1:] for line in IGNORED if line.startswith("!")}
    assert {source for source, _ in copied()} == given
    assert all((ROOT / source).exists() for source in given)
    assert "*" in IGNORED


def test_it_runs_as_nobody_of_the_host() -> None:
    lines = instructions()
    users = [rest for name, rest in lines if name == "USER"]
    assert users == ["10001"]
    assert lines.index(("USER", "10001")) < next(i for i, (name, _) in enumerate(lines) if name == "CMD")


@pytest.mark.parametrize(
    ("base", "path"), [("", "/_stcore/health"), ("lab", "/lab/_stcore/health"), ("/a/b/", "/a/b/_stcore/health")]
)
def test_its_health_check_asks_below_the_base_path(base: str, path: str) -> None:
    """The command itself, at a server that says what it was asked."""
    command = json.loads(next(rest for name, rest in instructions() if name == "HEALTHCHECK").partition(" CMD ")[2])
    asked: list[str] = []

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == path else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = command[2].replace("8501", str(server.server_port))
    environment = os.environ | {"STREAMLIT_SERVER_BASE_URL_PATH": base}
    try:
        checked = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
        bad = subprocess.run(
            [sys.executable, "-c", code.replace("health", "ill")], env=environment, capture_output=True
        )
    finally:
        server.shutdown()
        server.server_close()
    assert asked[0] == path
    assert (checked.returncode, bad.returncode) == (0, 1)


def test_compose_hangs_together() -> None:
    file = compose()
    services, given = file["services"], json.dumps(file)
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in file["volumes"] or source == "./tls" or (ROOT / "deploy" / source).exists(), volume
        assert set(service.get("depends_on", {})) <= set(services)
        assert {one["source"] for one in service.get("secrets", [])} <= set(file["secrets"])
    app = services["app"]
    assert (ROOT / "deploy" / app["build"]["context"] / app["build"]["dockerfile"]).samefile(DOCKERFILE)
    assert app["network_mode"] == "service:web" and "ports" not in app  # nobody else reaches it
    assert "ports" not in services["db"]
    (login,) = app["secrets"]
    assert app["environment"]["STREAMLIT_SECRETS_FILES"] == f"/run/secrets/{login['target']}"
    assert login["target"].endswith(".toml")  # else Streamlit says that there are none, and nobody can log in
    assert all(log in services["web"]["command"][-1] for log in re.findall(r"hypograph[-\w]*\.log", SITE.read_text()))
    assert services["db"]["environment"]["POSTGRES_PASSWORD"].startswith("${")
    assert {name for name in re.findall(r"\$\{(\w+)", given)} == {
        "HYPOGRAPH_ADMINS",
        "HYPOGRAPH_ALLOWED",
        "POSTGRES_PASSWORD",
        "TORCH_INDEX",
    }
    assert set(compose("compose.gpu.yaml")["services"]) <= set(services)
    args = {rest.partition("=")[0] for name, rest in instructions() if name == "ARG"}
    assert set(app["build"]["args"]) <= args

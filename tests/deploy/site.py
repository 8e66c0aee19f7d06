"""The shipped nginx site under a real nginx: only ports, paths and the name are put in."""

import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path

import pytest

from tests.serving import ROOT, free_port

SITE = ROOT / "deploy" / "nginx.conf"
SECRET = "no secret: it is of the tests alone"
PASSWORD = "in the tests"
PEOPLE = ("ada", "ben")


@dataclass
class Site:
    port: int
    plain_port: int  # of http://
    log: Path
    trust: ssl.SSLContext  # knows the certificate

    @property
    def address(self) -> str:
        return f"https://localhost:{self.port}"

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> HTTPResponse:
        with closing(HTTPSConnection("localhost", self.port, context=self.trust, timeout=20)) as connection:
            connection.request(method, path, headers=headers or {})
            return connection.getresponse()

    def visits(self) -> list[tuple[str, str, str]]:
        """Person, path and replica of each request so far."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(line[1], line[4].strip('"'), line[-1]) for line in lines]


def program() -> str:
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if found is None or shutil.which("openssl") is None:
        pytest.skip("there is no nginx or no openssl here (on Debian: apt-get install nginx openssl)")
    return found


def certificate(folder: Path) -> None:
    subprocess.run(
        shlex.split(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
            " -keyout privkey.pem -out fullchain.pem"
        ),
        cwd=folder,
        check=True,
        capture_output=True,
    )


def written(folder: Path, port: int, plain_port: int, replicas: tuple[int, int], with_login: bool) -> str:
    """The shipped file, with this machine's ports and paths."""
    text = SITE.read_text()
    if with_login:
        text = text.replace("#login ", "").replace("THE SECRET", SECRET)
    six = Path("/proc/net/if_inet6")  # empty, or not there, on a machine without
    also = "[::1]" if six.is_file() and six.read_text() else "127.0.0.2"
    changes = {
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "listen 80 ": f"listen 127.0.0.1:{plain_port} ",
        "listen [::]:443 ": f"listen {also}:{port} ",
        "listen [::]:80 ": f"listen {also}:{plain_port} ",
        "server 127.0.0.1:8501;": f"server 127.0.0.1:{replicas[0]};",
        "# server 127.0.0.1:8502;": f"server 127.0.0.1:{replicas[1]};",
        "hypograph.lab.example": "localhost",
        "/etc/ssl/hypograph/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
        "/etc/nginx/hypograph.htpasswd": f"{folder}/htpasswd",
    }
    for shipped, here in changes.items():
        assert with_login or "htpasswd" in shipped or shipped in text, shipped
        text = text.replace(shipped, here)
    return text


@contextmanager
def nginx(folder: Path, replicas: tuple[int, int], with_login: bool) -> Iterator[Site]:
    """`with_login`: nginx asks for a password and says who asks."""
    command = program()
    certificate(folder)
    port, plain_port = free_port(), free_port()
    (folder / "site.conf").write_text(written(folder, port, plain_port, replicas, with_login))
    (folder / "htpasswd").write_text("".join(f"{name}:{{PLAIN}}{PASSWORD}\n" for name in PEOPLE))
    as_root = "user root;" if os.geteuid() == 0 else ""  # else its workers can't read the test's folder
    kept = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; {as_root} events {{}}\n"
        f"http {{ include /etc/nginx/mime.types; access_log {folder}/access.log; {kept}\n"
        f"include {folder}/site.conf; }}\n"
    )
    log = folder / "stderr.log"
    with log.open("wb") as file:
        process = subprocess.Popen([command, "-c", folder / "nginx.conf", "-e", folder / "error.log"], stderr=file)
    try:
        _wait(port, process, log)
        trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        yield Site(port, plain_port, folder / "hypograph.log", trust)
    finally:
        process.terminate()
        process.wait(10)
    assert not re.search(r"\[(warn|error|alert|emerg)\]", log.read_text()), log.read_text()


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(1200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"nginx did not start: {log.read_text()}")

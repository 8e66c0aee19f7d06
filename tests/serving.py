"""The dashboard as a process of its own on a data folder: for tests, benchmarks and the README's pictures."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.visitor import visit

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds for a start, on two cores that others use too


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Started without a network and without dashboards; ended by `stop` or `kill`. On the same port when it is started
    again."""

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        app: str = "app.py",
        root: Path = ROOT,
        base: str = "",
        within: tuple[str, ...] = (),
        log: Path | None = None,
        **settings: str,
    ) -> None:
        """`home`: the data folder. `root`: where the program's files are. `base`: its pages are below /base. `within`:
        the words of a command that runs it. `log`: else in the data folder. `settings`: environment variables."""
        port = port or free_port()
        self.home, self.log = home, log or home / "server.log"
        self.address = f"http://127.0.0.1:{port}" + (f"/{base}" if base else "")
        self._command = [*within, sys.executable, "-m", "streamlit", "run", app, "--server.port", str(port)]
        self._root = root
        own = {"HYPOGRAPH_HOME": str(home), "HYPOGRAPH_DASHBOARDS": "0", "HF_HUB_OFFLINE": "1"}
        self._settings = own | ({"STREAMLIT_SERVER_BASE_URL_PATH": base} if base else {}) | settings
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Raises RuntimeError, with its log."""
        mine = ("HYPOGRAPH_", "NEURONPEDIA")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(mine)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self._root, env=inherited | self._settings, stdout=log, stderr=log
            )
        try:
            wait_for(f"{self.address}/_stcore/health", self.process)
        except RuntimeError as problem:
            self.kill()
            raise RuntimeError(f"{problem}: {self.said[-4000:]}") from problem

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> str:
        """As it should end. What it logged."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return self.said

    @property
    def said(self) -> str:
        """In its log."""
        return self.log.read_text(errors="replace")


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Until it answers, which this process sees to. Raises RuntimeError."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer (exit status {process.poll()})")


@contextmanager
def serving(home: Path, **more: Any) -> Iterator[Server]:
    """`more`: of `Server`. At the end: no traceback may be in its log."""
    server = Server(home, **more)
    try:
        yield server
    finally:
        said = server.stop()
    assert "traceback" not in said.lower(), said[-4000:]  # Python's own, or in a line of the log


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What a tab of benchmarks/visitor.py does, to its end. In a thread of its own: where browser tests came before,
    playwright keeps this one's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def visited(server: Server) -> None:
    """A new tab, up to its sidebar: a page starts the service."""

    async def visits() -> None:
        async with visit(server.address) as tab:
            await tab.says("MODEL", PATIENCE)

    run(visits())

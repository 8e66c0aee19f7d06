"""The real dashboard as a process of its own, on a small model, to be killed, starved and left alone."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.load import CANVAS
from benchmarks.visitor import Visitor

SHORT = "w4 w9 w2"  # a prompt
ROOT = Path(__file__).resolve().parents[2]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: where browser tests came before, playwright keeps this one's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class Server:
    """Started, and ended by `stop` or `kill`; the same port when it is started again."""

    def __init__(self, home: Path, model: Path, within: tuple[str, ...] = (), **settings: str) -> None:
        """`within`: the words of a command that runs it."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.home, self.address = home, f"http://127.0.0.1:{port}"
        self.log = home.parent / f"{home.name}.log"  # not on the disk that a test fills
        self._command = [*within, sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        self._settings = {"HYPOGRAPH_HOME": str(home), "HYPOGRAPH_MODEL": str(model)} | settings
        self.start()

    def start(self) -> None:
        home = {name: text for name, text in os.environ.items() if not name.startswith("HYPOGRAPH_")}
        environment = home | {"HYPOGRAPH_DASHBOARDS": "0", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=environment | self._settings, stdout=log, stderr=log
            )
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=2).close()
                return
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        """As it should end. What it logged."""
        self.process.terminate()
        self.process.wait(30)
        return self.log.read_text(errors="replace")


async def choose(tab: Visitor, node: str) -> None:
    """A click on a node of the open graph."""
    await tab.report(CANVAS, selected=node)
    await tab.until(lambda: f'"id": "{node}"' in tab.component("hypograph_card_head") and not tab.running)


async def label(tab: Visitor, node: str, text: str) -> None:
    """Type a label into a node's card; the card says by whom, once it is saved."""
    await choose(tab, node)
    await tab.type("Label", text)


async def labelled(tab: Visitor, node: str, text: str) -> None:
    """The same, and it was saved."""
    await label(tab, node, text)
    await tab.until(lambda: label_shown(tab) == text and "\nby " in tab.text() and not tab.running)


async def shows_label(tab: Visitor, text: str) -> None:
    """The card does, or will."""
    await tab.until(lambda: label_shown(tab) == text)


def label_shown(tab: Visitor) -> str:
    """In the card."""
    fields = [field for field in tab.elements("text_input") if field.label == "Label"]
    return str(fields[0].value if fields[0].set_value else fields[0].default) if fields else ""


def nodes(tab: Visitor) -> list[str]:
    """Ids of the features of the open graph."""
    ids = json.loads(json.loads(tab.component(CANVAS))["graph"])["nodes"]["id"]
    return [id for id in ids if id[0].isdigit()]

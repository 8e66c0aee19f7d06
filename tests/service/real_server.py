"""The dashboard as a process of its own, visited without a browser: a page starts the service."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.service.fake_engine import until

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Visited once."""

    def __init__(self, home: Path, model: Path, **settings: str) -> None:
        self.home, self.port = home, free_port()
        self.out, self.log = home / "server.out", home / "server.log"
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)]
        own = {"HYPOGRAPH_HOME": str(home), "HYPOGRAPH_MODEL": str(model)} | settings
        with self.out.open("ab") as out, self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | own, stdout=out, stderr=log)
        until(self.visited, 60)

    def visited(self) -> bool:
        """A new tab, up to the end of its sidebar."""
        assert self.process.poll() is None, self.log.read_text()
        message = BackMsg()
        message.rerun_script.query_string = ""
        address = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        try:
            with connect(address, subprotocols=["streamlit"], max_size=None) as page:  # type: ignore[list-item]
                page.send(message.SerializeToString())
                while b"MODEL" not in page.recv(20):  # the sidebar has asked the service
                    pass
        except (OSError, ConnectionClosed, TimeoutError):
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

"""A server that is stopped while it reads the corpus ends as one that does nothing, and goes on later where it was."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from transformers import LlamaConfig, LlamaForCausalLM
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.helpers import VOCAB, saved
from tests.service.fake_engine import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, with many neurons: the bundled corpus takes it half a minute."""
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=6000,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    return saved(LlamaForCausalLM(config).eval(), tmp_path_factory.mktemp("slow"))


class Server:
    """A real one, visited once: the first page starts the service."""

    def __init__(self, home: Path, model: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        settings = {"HYPOGRAPH_HOME": str(home), "HYPOGRAPH_MODEL": str(model), "HYPOGRAPH_DASHBOARDS": "1"}
        self.home = home
        self.log = home / "server.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stdout=log, stderr=log)
        until(lambda: self._visited(port), 60)

    def _visited(self, port: int) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        message = BackMsg()
        message.rerun_script.query_string = ""
        try:
            with connect(f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as page:
                page.send(message.SerializeToString())
                while b"MODEL" not in page.recv(20):  # the sidebar has asked the service
                    pass
        except (OSError, ConnectionClosed, TimeoutError):
            return False
        return True

    def progress(self) -> tuple[int, int]:
        """Contexts that are read and saved, of how many."""
        for path in (self.home / "dashboards").glob("*/meta.json"):
            meta = json.loads(path.read_text())
            return meta["done"], meta["contexts"]
        return 0, 1

    def stop(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM])
def test_stopped_while_it_reads_the_corpus(slow_model: Path, tmp_path: Path, how: signal.Signals) -> None:
    server = Server(tmp_path, slow_model)
    try:
        until(lambda: server.progress()[0] > 0, 120)
        time.sleep(0.5)  # well into the next batches
        assert server.stop(how) == 0
    finally:
        server.process.kill()
    said = server.log.read_text()
    assert "terminate called" not in said and "Traceback" not in said
    done, of = server.progress()
    assert 0 < done < of

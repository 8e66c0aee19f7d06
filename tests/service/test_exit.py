"""A server that is stopped while it reads the corpus ends as one that does nothing, and goes on later where it was."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.helpers import saved, wide_llama
from tests.service.fake_engine import until
from tests.serving import Server, visited


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, with many neurons: the bundled corpus takes it half a minute."""
    return saved(wide_llama(n_neurons=6000, n_layers=3), tmp_path_factory.mktemp("slow"))


def progress(server: Server) -> tuple[int, int]:
    """Contexts that are read and saved, of how many."""
    for path in (server.home / "dashboards").glob("*/meta.json"):
        meta = json.loads(path.read_text())
        return meta["done"], meta["contexts"]
    return 0, 1


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM])
def test_stopped_while_it_reads_the_corpus(slow_model: Path, tmp_path: Path, how: signal.Signals) -> None:
    server = Server(tmp_path, HYPOGRAPH_MODEL=str(slow_model), HYPOGRAPH_DASHBOARDS="1")
    try:
        visited(server)
        until(lambda: progress(server)[0] > 0, 120)
        time.sleep(0.5)  # well into the next batches
        server.process.send_signal(how)
        assert server.process.wait(60) == 0
    finally:
        server.kill()
    said = server.said
    assert "terminate called" not in said and "traceback" not in said.lower()
    done, of = progress(server)
    assert 0 < done < of

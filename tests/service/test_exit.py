"""A server that is stopped while it reads the corpus ends as one that does nothing, and goes on later where it was."""

import json
import signal
import time
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from tests.helpers import VOCAB, saved
from tests.service.fake_engine import until
from tests.service.real_server import Server as RealServer


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


class Server(RealServer):
    def __init__(self, home: Path, model: Path) -> None:
        super().__init__(home, model, HYPOGRAPH_DASHBOARDS="1")

    def progress(self) -> tuple[int, int]:
        """Contexts that are read and saved, of how many."""
        for path in (self.home / "dashboards").glob("*/meta.json"):
            meta = json.loads(path.read_text())
            return meta["done"], meta["contexts"]
        return 0, 1


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
    assert "terminate called" not in said and "traceback" not in said.lower()
    done, of = server.progress()
    assert 0 < done < of

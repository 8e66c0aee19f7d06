from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from tests.faults.server import Server
from tests.helpers import VOCAB, saved


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, with many neurons: a few words are traced at once, two hundred take seconds."""
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=3000,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    return saved(LlamaForCausalLM(config).eval(), tmp_path_factory.mktemp("small"))


@pytest.fixture
def serve(model: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server on a new folder of this name; all are gone at the end."""
    with ExitStack() as stack:

        def started(name: str = "home", **more: Any) -> Server:
            home = tmp_path / name
            home.mkdir()
            server = Server(home, model, **more)
            stack.callback(server.kill)
            return server

        yield started

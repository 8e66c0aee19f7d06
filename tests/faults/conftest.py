from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import saved, wide_llama
from tests.serving import Server


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of every server here. A few words are traced at once, two hundred take seconds."""
    model = saved(wide_llama(n_neurons=3000, n_layers=4), tmp_path_factory.mktemp("small"))
    return {"HYPOGRAPH_MODEL": str(model), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def serve(settings: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server on a new folder of this name; all are gone at the end."""
    with ExitStack() as stack:

        def started(name: str = "home", **more: Any) -> Server:
            home = tmp_path / name
            home.mkdir()
            log = tmp_path / f"{name}.log"  # not on the disk that a test fills
            server = Server(home, log=log, **settings | more)
            stack.callback(server.kill)
            return server

        yield started

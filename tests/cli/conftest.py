"""A tiny model in a folder, settings of its own for each test, and the command line."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.cli.driver import Cli
from tests.helpers import saved, tiny_llama


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny matrices: a second thread only waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tiny_llama(), tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(autouse=True)
def home(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HYPOGRAPH_HOME, no other setting, and the tiny model as the one that is used without --model."""
    for name in os.environ:
        if name.startswith("HYPOGRAPH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HYPOGRAPH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HYPOGRAPH_MODEL", str(folder))
    return tmp_path / "home"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)

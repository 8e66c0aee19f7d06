"""A tiny model in a folder, settings of its own for each test, and the command line."""

import os
from pathlib import Path

import pytest

from tests.cli.driver import Cli
from tests.helpers import saved, tiny_llama


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

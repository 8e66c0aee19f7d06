"""Batches hold real graphs, not those of tests/service/fake_engine.py."""

import pytest


@pytest.fixture
def graph_class() -> None:
    """In place of the folder above's."""

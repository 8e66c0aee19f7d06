"""The batch that is timed: a tiny one, over Ray too, to the last figure."""

from pathlib import Path

import pytest

from tests.benchmarks.quick import quick_run
from tests.helpers import saved, tiny_llama


@pytest.mark.soak  # it starts a Ray of its own
def test_quick_run_compares_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick_run("batch.py", "--model", saved(tiny_llama(), tmp_path / "tiny"))
    said = capsys.readouterr().out
    rows = {name: said.split(name)[1].split()[:6] for name in ("here", "workers")}
    assert all(float(figure) >= 0 for row in rows.values() for figure in row)
    assert "times the throughput" in said

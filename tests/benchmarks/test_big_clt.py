"""The memory benchmark runs from end to end on a small set."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "big_clt.py"


@pytest.mark.soak
def test_quick_run(tmp_path):
    copy = tmp_path / "benchmarks" / SCRIPT.name  # its scratch lies beside it
    copy.parent.mkdir()
    copy.write_text(SCRIPT.read_text())
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[1])}
    done = subprocess.run([sys.executable, str(copy), "--quick"], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert re.search(r"[1-9][\d,]* active features, row error \de-0[6-9]", done.stdout), done.stdout
    assert "within" in done.stdout

"""The benchmark of dashboards runs from end to end on a tiny model, and its ratio is that of its seconds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import saved, tiny_gemma3

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "dashboards.py"


def test_quick_run_prints_both_rates_and_their_ratio(tmp_path: Path) -> None:
    folder = saved(tiny_gemma3(), tmp_path / "tiny")
    text = tmp_path / "text.txt"
    text.write_text(" ".join(f"w{i % 50}" for i in range(1500)))
    command = [sys.executable, str(SCRIPT), "--quick", "--model", str(folder), "--corpus", str(text)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rates = [
        int(re.search(rf"^ +{name} .* ([\d,]+)$", done.stdout, re.M)[1].replace(",", "")) for name in ("pass", "build")
    ]
    ratio = float(re.search(r"the build takes (\d+\.\d\d) times", done.stdout)[1])
    assert rates[0] > 0 and ratio == pytest.approx(rates[0] / rates[1], rel=0.02)
    whole = re.search(r"^The whole corpus: 6 contexts, 768 tokens.*\n.*peak MB.*\n(.*)$", done.stdout, re.M)
    assert whole is not None and len(whole[1].split()) == 5

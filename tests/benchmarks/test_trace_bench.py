"""The benchmark script runs from end to end on a tiny model, and fits exponents rightly."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import saved, tiny_gemma3

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "trace.py"


@pytest.mark.soak
def test_quick_run_prints_every_table(tmp_path):
    folder = saved(tiny_gemma3(), tmp_path / "tiny")
    command = [sys.executable, str(SCRIPT), "--quick", "--model", str(folder)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}  # so small that threads would only wait for each other
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    titles = (
        "Default",
        "Growth with tokens",
        "Growth with nodes",
        "Pruning again",
        "Share of",
        "Peak memory",
        "The longest prompt",
    )
    for heading in titles:
        assert re.search(rf"^{heading}", done.stdout, re.MULTILINE), done.stdout
    assert len(re.findall(r"time ~ (?:tokens|nodes)\^-?\d+\.\d\d", done.stdout)) == 2
    loaded, peak, trace = (
        int(size.replace(",", "")) for size in re.search(r"loaded.*\n(.*)", done.stdout)[1].split()[2:]
    )
    assert peak >= loaded > 10 and trace == pytest.approx(peak - loaded, abs=1)


def test_exponent_of_a_power_law():
    spec = importlib.util.spec_from_file_location("trace_benchmark", SCRIPT)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    sizes = (8, 16, 32, 64)
    assert benchmark.exponent(sizes, [0.3 * n**1.25 for n in sizes]) == pytest.approx(1.25)

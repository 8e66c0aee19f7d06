"""The benchmark of dashboards runs from end to end on a tiny model, and its ratio is that of its seconds."""

import re
from pathlib import Path

import pytest

from tests.benchmarks.quick import quick_run
from tests.helpers import saved, tiny_gemma3


def test_quick_run_prints_both_rates_and_their_ratio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(tiny_gemma3(), tmp_path / "tiny")
    text = tmp_path / "text.txt"
    text.write_text(" ".join(f"w{i % 50}" for i in range(1500)))
    quick_run("dashboards.py", "--model", folder, "--corpus", text)
    printed = capsys.readouterr().out
    rates = [
        int(re.search(rf"^ +{name} .* ([\d,]+)$", printed, re.M)[1].replace(",", "")) for name in ("pass", "build")
    ]
    ratio = float(re.search(r"the build takes (\d+\.\d\d) times", printed)[1])
    assert rates[0] > 0 and ratio == pytest.approx(rates[0] / rates[1], rel=0.02)
    whole = re.search(r"^The whole corpus: 6 contexts, 768 tokens.*\n.*peak MB.*\n(.*)$", printed, re.M)
    assert whole is not None and len(whole[1].split()) == 5

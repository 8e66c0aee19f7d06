"""The benchmark of steering runs from end to end on a tiny model, and its ratios are those of its seconds."""

import re
from pathlib import Path

import pytest

from tests.benchmarks.quick import quick_run
from tests.helpers import saved, tiny_gemma3


def test_quick_run_prints_every_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(tiny_gemma3(), tmp_path / "tiny")
    quick_run("steering.py", "--model", folder)
    printed = capsys.readouterr().out
    for where in ("2, position -1", "0, position 1"):  # layer 13 of the default model, the last layer of a smaller one
        table = re.search(rf"^2 matched controls of an edit at layer {where} of 7 tokens\n((?:.+\n)+)", printed, re.M)
        assert table is not None, printed
        single, together = (
            float(re.search(rf"^ *{name} .* ([\d.]+)$", table[1], re.M)[1]) for name in ("one by one", "together")
        )
        assert float(re.search(r"^([\d.]+) times as fast", table[1], re.M)[1]) == pytest.approx(
            single / together, rel=0.1, abs=0.1
        )
        assert float(re.search(r"agree to ([\d.e+-]+)$", table[1], re.M)[1]) < 1e-4
    one = re.findall(r"^ *(?:2,-1|0,1) (?:clamp|free) +(\d+) +(\d+) +([\d.]+)$", printed, re.M)
    assert len(one) == 4 and all(float(ratio) > 0 for _, _, ratio in one)
    text = re.search(r"^4 tokens of text, .*\n.*\n((?:.+\n)+)", printed, re.M)
    assert text is not None and re.findall(
        r"^ *(no edits|one edit|4 side by side) +[\d.,]+ +[\d.]+$", text[1], re.M
    ) == [
        "no edits",
        "one edit",
        "4 side by side",
    ]
    assert "load at the end" in printed

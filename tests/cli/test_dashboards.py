"""`python -m tracer dashboards`: from a text file to what a card reads; bad input is one line."""

from pathlib import Path

import pytest

import tracer
from cli.main import main
from service import Settings
from tracer.dashboards import store


def test_a_text_file_fills_the_folder_that_cards_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(" ".join(f"w{i % 50}" for i in range(700)))
    assert main(["dashboards", str(text)]) == 0
    assert "640 tokens seen by 3 layers" in capsys.readouterr().out  # five contexts of 128
    model = tracer.load(str(folder))
    found = store.read(Settings.from_env().dashboards(model.model_fingerprint, model.basis_fingerprint), 2, 4)
    assert found is not None and found.density == 1.0


@pytest.mark.parametrize(("words", "code"), [(["nowhere.txt"], 1), (["--unknown"], 2)])
def test_bad_input_is_one_line(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        ended = main(["dashboards", *words])
    except SystemExit as stop:
        ended = int(stop.code or 0)
    assert ended == code
    assert "Traceback" not in capsys.readouterr().err

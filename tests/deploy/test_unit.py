"""The systemd unit, looked at by systemd's own tool."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.database import connect
from service.access import Access
from service.settings import Settings
from tests.serving import ROOT

DEPLOY = ROOT / "deploy"
pytestmark = pytest.mark.nginx


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """With a Python that is here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here (on Debian: apt-get install systemd)")
    path = tmp_path / "hypograph@8501.service"
    text = (DEPLOY / "hypograph@.service").read_text()
    assert "/opt/hypograph/.venv/bin/python" in text
    path.write_text(text.replace("/opt/hypograph/.venv/bin/python", sys.executable))
    return path


def analyze(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True)


def test_systemd_has_nothing_to_say(unit: Path) -> None:
    checked = analyze("verify", unit)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("UMask=", "UMaks="))
    assert "UMaks" in analyze("verify", unit).stderr  # it would have said it


def test_it_can_do_little_harm(unit: Path) -> None:
    """systemd's own score, from 0 (nothing) to 10; a service without such settings has 9.6."""
    assert analyze("security", "--offline=true", "--threshold=25", unit).returncode == 0


def test_the_shipped_settings_are_ones_that_the_program_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (DEPLOY / "hypograph.env").read_text().splitlines()
    shipped = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    hinted = {line[1:].partition("=")[0] for line in lines if re.match(r"#[A-Z_]+=", line)}
    table = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in table for name in {*shipped, *hinted} if name.startswith("HYPOGRAPH_"))
    for name, value in shipped.items():
        monkeypatch.setenv(name, value)
    settings, access = Settings.from_env(), Access.from_env()
    assert access.allowed == ("lab.example",)
    assert access.admins == ("ada@lab.example",)
    address = connect(settings.database).url
    assert (address.username, address.password, address.host, address.database) == (
        "hypograph",
        None,
        None,
        "hypograph",
    )
    assert address.query["host"] == "/run/postgresql"

"""Passwords, keys and the cookie's secret are in no log, no message, no page, and nothing that is taken along."""

import logging
import os
import re
from pathlib import Path

import pytest

from lab import Lab, LabDatabaseError
from lab.backup import back_up, restore
from lab.database import without_password
from service import Settings
from tests.attacks.conftest import Target, secrets_of
from tests.attacks.raw import Visitor

PASSWORD = "pa55wordofthedatabase"
ADDRESSES = (
    f"postgresql://ada:{PASSWORD}@127.0.0.1:1/lab",
    f"postgresql://127.0.0.1:1/lab?user=ada&password={PASSWORD}",
    f"postgresql://ada:a@{PASSWORD}@127.0.0.1:1/lab",
    f"postgresql://ada:{PASSWORD}@127.0.0.1:port/lab",
    f"mysql://ada:{PASSWORD}@127.0.0.1/lab",
    f"nonsense {PASSWORD}",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_databases_password_is_in_no_message(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HYPOGRAPH_DATABASE_URL", address)
    said = [without_password(address), repr(Settings.from_env())]
    (tmp_path / "b.zip").write_bytes(b"x")
    for attempt in (Lab, lambda url: back_up(url, tmp_path / "c.zip"), lambda url: restore(tmp_path / "b.zip", url)):
        with pytest.raises(Exception) as refusal:
            attempt(address)
        said.append(str(refusal.value))
        if attempt is Lab:
            assert isinstance(refusal.value, LabDatabaseError)
    assert not re.search(PASSWORD, "\n".join([*said, caplog.text]))


PAGES = ("", "graph", "steer", "compare", "hypotheses", "library", "batch", "system", "people", "privacy")


def test_an_admin_reads_none_on_any_page(ada_visits: Visitor, target: Target) -> None:
    with ada_visits.tab() as tab:
        for path in PAGES:
            tab.ask(path)
        assert "HYPOGRAPH_DATABASE_URL" in tab.said and "Privacy" in tab.said
        assert [secret for secret in secrets_of(target) if secret in tab.said] == []


def test_none_is_in_the_log_of_a_server_that_people_attack(target: Target, ben_visits: Visitor) -> None:
    """What the other tests of this folder did to it is in there too."""
    visitor = Visitor(target.address)
    for query in ("code=thecode&state=thestate", "error=x&error_description=y%0aforged%20line"):
        visitor.http.get(f"/oauth2callback?{query}")
    visitor.close()
    cookies = [value for name, value in ben_visits.http.cookies.items() if name.startswith("_streamlit_user")]
    log = target.log
    assert len(log) > 100 and cookies
    assert [secret for secret in [*secrets_of(target), *cookies] if secret in log] == []
    assert "\nforged line" not in log


def test_a_login_that_fails_at_the_provider_tells_none(target: Target, nobody: Visitor) -> None:
    """Its code is spoiled on the way, so that the provider refuses it: Streamlit logs why."""
    file = target.place.home / "server.log"
    before = file.stat().st_size
    answer = nobody.answer("ada")
    code = re.search(r"code=([^&]*)", answer)
    assert code
    refused = nobody.http.get(answer.replace(code[1], "spoiled"))
    assert refused.headers["location"] == "/" and "_streamlit_user" not in nobody.http.cookies
    log = target.log
    assert b"token exchange failed" in file.read_bytes()[before:]
    assert [secret for secret in secrets_of(target) if secret in log] == []
    os.truncate(file, before)  # else the server's end would find an error there

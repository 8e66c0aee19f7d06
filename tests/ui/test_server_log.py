"""What Streamlit and others log is in the server's log too, and holds as little."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import streamlit.logger
from streamlit import config
from streamlit.error_util import _log_uncaught_app_exception

from service import Settings
from ui.server_log import start_log

CANARY, SECRET = "the canary sings at dawn", "s3cret-of-the-lab"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The log of a server whose secrets are in its environment and in its database's address."""
    root, level = logging.getLogger(), logging.getLogger().level
    monkeypatch.setattr(streamlit.logger, "setup_formatter", streamlit.logger.setup_formatter)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    settings = replace(Settings.from_env(), database="postgresql://lab:pass-of-the-database@db/lab")
    start_log(settings)
    start_log(settings)  # by a service that came later: still once
    yield
    logging.captureWarnings(False)
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if handler.get_name() == "service.logs"]:
        root.removeHandler(handler)


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capfd.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_a_page_that_fails(started: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert config.get_option("logger.enableRich") is False, "which prints what the exception says"
    _log_uncaught_app_exception(ValueError(f"no token in {CANARY!r}"))
    (line,) = lines(capfd)
    assert line["event"] == "Uncaught app execution" and line["error"] == "ValueError" and CANARY not in str(line)


def test_loggers_to_come(started: None, capfd: pytest.CaptureFixture[str]) -> None:
    streamlit.logger.get_logger("streamlit.of.tomorrow").warning("with %s", SECRET)
    logging.getLogger("any.library").warning("at %s", "pass-of-the-database")
    assert [line["event"] for line in lines(capfd)] == ["with …", "at …"]

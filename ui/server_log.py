"""The server's log, Streamlit's own messages in it: set up once a process, with what it must never show."""

import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import streamlit as st
import streamlit.logger
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from service import Settings
from service.logs import log_to_stderr, through_root

SECRETS = ("NEURONPEDIA_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HYPOGRAPH_PROXY_SECRET", "PGPASSWORD")


def start_log(settings: Settings) -> None:
    log_to_stderr(_secrets(settings), settings.log_prompts)
    for logger in streamlit.logger._loggers.values():
        _without_handler(logger)
    streamlit.logger.setup_formatter = _without_handler


def _without_handler(logger: logging.Logger) -> None:
    """Instead of the handler of its own that Streamlit gives each of its loggers, those to come too."""
    through_root(logger)
    logger.propagate = True


def _secrets(settings: Settings) -> Iterator[str]:
    yield from (os.environ.get(name, "") for name in SECRETS)
    try:
        yield make_url(settings.database).password or ""
    except ArgumentError:
        yield settings.database
    if st.secrets.load_if_toml_exists():
        yield from _texts(st.secrets.to_dict())


def _texts(section: Mapping[str, Any]) -> Iterator[str]:
    """All of secrets.toml, the addresses of its providers too."""
    for value in section.values():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield value

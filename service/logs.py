"""The log of a server: each event a line of JSON on stderr, without prompts, secrets or mail addresses.

Everybody logs by `logging`, with `extra=` for what a program may look for; this says what becomes of it. An exception
is written as its type and the places that it came through: its message may hold what somebody typed.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterable
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_MAIL = re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+")
_PASSWORD = re.compile(r"(?<=://)[^\s/:@]*:\S*@")  # of a URL, whatever characters it has
_SHORT = 6  # characters: what is shorter is no secret, and would black out words
_OURS = ("cache", "lab", "service", "tracer", "ui")
_ADDRESSES = ("uvicorn.access", "uvicorn.error")  # visitors', and of pages: with prompts in them, and codes of a login


def log_to_stderr(secrets: Iterable[str], prompts: bool) -> None:
    """From now on, what we and Streamlit log; of others their warnings, and of requests nothing: an address may hold
    what somebody typed. `secrets` are shown nowhere; `prompts`: texts of people may be written."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.get_name() == __name__]:
        root.removeHandler(handler)
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            through_root(logger)
    handler = logging.StreamHandler(sys.__stderr__)
    handler.set_name(__name__)
    handler.setFormatter(json_lines(secrets, prompts))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    for name in _ADDRESSES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def through_root(logger: logging.Logger) -> None:
    """A logger that writes to the terminal by itself (uvicorn's, Streamlit's) does so no more."""
    own = [handler for handler in logger.handlers if type(handler) is logging.StreamHandler]
    for handler in own:
        logger.removeHandler(handler)
    if own:
        logger.propagate = True


def json_lines(secrets: Iterable[str], prompts: bool) -> logging.Formatter:
    """What `log_to_stderr` writes with."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([_failure_with_text] if prompts else [_of_asyncio, _failure]),
            _hiding(secrets),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def _failure(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Of the error and of those that led to it: type and places, the innermost call last."""
    event.pop("message", None)  # the event once more, where another handler has written it before
    about = event.pop("exc_info", None)
    error = about[1] if isinstance(about, tuple) else about
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["traceback"] = _places(error)
    return event


def _failure_with_text(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    about = event.get("exc_info")
    error = about[1] if isinstance(about, tuple) else about
    if isinstance(error, BaseException):
        event["said"] = str(error)
    return _failure(logger, method, event)


def _of_asyncio(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """It writes what errors say, and arguments, into the event itself."""
    if event.get("logger") == "asyncio":
        event["event"] = re.split(r"[\n(<]", event["event"], maxsplit=1)[0]
    return event


def _places(error: BaseException | None) -> list[str]:
    places: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        calls = traceback.extract_tb(error.__traceback__)
        here = [f"{call.filename}:{call.lineno} {call.name}" for call in calls]
        places = [*here, type(error).__name__, *places]
        error = error.__cause__ or error.__context__
    return places


def _hiding(secrets: Iterable[str]) -> Processor:
    hidden = sorted({secret for secret in secrets if len(secret) >= _SHORT}, key=len, reverse=True)

    def clean(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {clean(name): clean(one) for name, one in value.items()}
        if isinstance(value, list | tuple | set):
            return [clean(one) for one in value]
        text = str(value)
        for secret in hidden:
            text = text.replace(secret, "…")
        return _MAIL.sub("…@…", _PASSWORD.sub("…@", text))

    def hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        cleaned: EventDict = clean(event)
        return cleaned

    return hide

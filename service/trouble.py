"""What went wrong, in one line for the person; the traceback of what nobody foresaw goes to the log alone."""

import gc
import logging

import tracer
from lab import LabDatabaseError, LabError
from tracer.memory import give_back, is_out_of_memory

log = logging.getLogger(__name__)


def explain(error: Exception, advice: str) -> str:
    """One line; `advice` says what to do when memory ran out."""
    first_line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, tracer.TracerError | LabError | LabDatabaseError):
        return first_line
    if is_out_of_memory(error):
        log.warning("out of memory: %s", type(error).__name__)
        return f"out of memory: {advice}"
    log.error("unexpected error", exc_info=error)
    detail = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    return f"unexpected error: {detail} (details in the log)"


def spare_long_lived() -> None:
    """Leave what is loaded by now out of garbage collection: its objects are many, and each pause stops every page."""
    gc.collect()
    gc.freeze()


def release_memory() -> None:
    """Give back what nothing refers to any more, the accelerator's share too."""
    gc.unfreeze()
    give_back()

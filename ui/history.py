"""Is an address to be obeyed, or does a run that was asked for earlier still bring one that we have replaced since?"""

import time
from collections.abc import Hashable

from streamlit.runtime.scriptrunner import get_script_run_ctx

UNDER_WAY = 5.0
"""Seconds that a run may be asked for, on a busy machine, before the browser hears of the address we wrote."""


class Replaced:
    """Addresses that our own writes replaced, the latest last."""

    def __init__(self) -> None:
        self._when: list[tuple[Hashable, float]] = []

    def add(self, address: Hashable) -> None:
        now = time.monotonic()
        self._when = [(old, when) for old, when in self._when if now - when < UNDER_WAY] + [(address, now)]

    def late(self, address: Hashable) -> bool:
        """It is one of these, and no Back or Forward of the person."""
        now = time.monotonic()
        return not went_back() and any(old == address and now - when < UNDER_WAY for old, when in self._when)


def went_back() -> bool:
    """Did the browser's Back or Forward ask for this run?"""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.is_history_navigation

"""Versions."""

from ui.hypothesis_opened import Opened


def versions(opened: Opened) -> None: ...

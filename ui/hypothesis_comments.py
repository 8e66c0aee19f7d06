"""Comments."""

from ui.hypothesis_opened import Opened


def comments(opened: Opened) -> None: ...

"""What a server does when its process ends, before anything of it is waited for.

`atexit` comes too late for that: Python first joins the threads of executors, and a trace's sweep would go on to its
end in them, however long it takes.
"""

import concurrent.futures.thread  # noqa: F401 - it registers that join when it is imported: what comes later is called first
import threading
from collections.abc import Callable


def first_at_exit(leave: Callable[[], None]) -> None:
    """Call it then. Raises RuntimeError where the process is ending already."""
    threading._register_atexit(leave)  # type: ignore[attr-defined]  # as concurrent.futures does; there is no public one

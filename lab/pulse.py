"""Does the record answer: asked in a thread of its own, so that a database that hangs holds up nobody who asks."""

import threading

from lab.errors import LabError
from lab.lab import Lab

SECONDS = 2.0
"""How long an answer may take."""


class Pulse:
    """One question at a time, however many ask."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._answered = False

    def beats(self) -> bool:
        with self._lock:
            if self._asking is None or not self._asking.is_alive():
                self._asking = threading.Thread(target=self._ask, name="hypograph-pulse", daemon=True)
                self._answered = False
                self._asking.start()
            asking = self._asking
        asking.join(SECONDS)
        return self._answered

    def _ask(self) -> None:
        try:
            self._lab.touch()
        except LabError:
            return
        self._answered = True

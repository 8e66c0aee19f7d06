"""The ways in which the record says no. Each message is one line that says what to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # views need bodies, and what bodies are made of needs these errors
    from lab.views import Revision


class LabError(Exception):
    """Something the person can mend."""


class LabDatabaseError(Exception):
    """The database can't be used. The message is one line that says what to do."""


class Unreachable(LabError):
    """The database does not answer now; it may soon."""


class NotFound(LabError):
    """No such record, or one that this person may not see."""


class NotAllowed(LabError):
    """Their role does not reach to that."""


class NotYours(LabError):
    """Only its owner may do that."""


class Conflict(LabError):
    """Somebody saved in the meantime. `theirs` is what they saved; nothing is lost."""

    def __init__(self, theirs: "Revision") -> None:
        super().__init__(
            f"{theirs.author} saved version {theirs.number} in the meantime: look at both, then keep yours or theirs"
        )
        self.theirs = theirs

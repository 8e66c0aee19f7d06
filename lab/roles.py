"""What a person may do here: look, write and compute, or look after the others."""

from enum import StrEnum

from lab.errors import NotAllowed


class Role(StrEnum):
    """Each may do all that the ones before it may."""

    VIEWER = "viewer"  # reads what the lab shares
    EDITOR = "editor"  # writes into the record, and asks the model
    ADMIN = "admin"  # gives roles, merges persons, changes the model, clears the cache

    def check(self, needed: "Role") -> None:
        """Raises NotAllowed where this role doesn't reach."""
        order = list(Role)
        if order.index(self) < order.index(needed):
            raise NotAllowed(f"your role here is {self}, and this is for an {needed}: ask an admin for that role")

"""The team's record in SQL: people, labels, circuits; append-only revisions, who wrote them and when.

Work that people did: never evicted, never overwritten silently. Knows no user interface and no cache.
"""

from lab.bodies import CircuitBody, ControlsBody, Group, LabelBody, SteeredDonor, SteeredNode, SteeredRow, SteeringBody
from lab.errors import Conflict, LabDatabaseError, LabError, NotFound, NotYours
from lab.lab import Lab
from lab.views import About, Person, Record, Revision

__all__ = [
    "About",
    "CircuitBody",
    "Conflict",
    "ControlsBody",
    "Group",
    "Lab",
    "LabDatabaseError",
    "LabError",
    "LabelBody",
    "NotFound",
    "NotYours",
    "Person",
    "Record",
    "Revision",
    "SteeredDonor",
    "SteeredNode",
    "SteeredRow",
    "SteeringBody",
]

"""The team's record in SQL: people, labels, circuits, hypotheses; append-only revisions, who wrote them and when.

Work that people did: never evicted, never overwritten silently. Knows no user interface and no cache.
"""

from lab.alignment import misfits
from lab.batch import BatchBody, BatchItem
from lab.bodies import (
    CircuitBody,
    CommentBody,
    ControlsBody,
    Group,
    LabelBody,
    SteeredDonor,
    SteeredNode,
    SteeredRow,
    SteeringBody,
)
from lab.errors import Conflict, LabDatabaseError, LabError, NotAllowed, NotFound, NotYours, Unreachable
from lab.freeze import Checked, Freeze, HypothesisFile, exploratory, fault, read_file
from lab.hypothesis import HypothesisBody
from lab.lab import Lab
from lab.people import Known
from lab.prompt_sets import Template, pasted, read_csv
from lab.prompts import Prompt, Slot, SlottedText
from lab.roles import Role
from lab.splits import Split
from lab.token_places import TokenPlace
from lab.views import About, Person, Record, Revision

__all__ = [
    "About",
    "BatchBody",
    "BatchItem",
    "Checked",
    "CircuitBody",
    "CommentBody",
    "Conflict",
    "ControlsBody",
    "Freeze",
    "Group",
    "HypothesisBody",
    "HypothesisFile",
    "Known",
    "Lab",
    "LabDatabaseError",
    "LabError",
    "LabelBody",
    "NotAllowed",
    "NotFound",
    "NotYours",
    "Person",
    "Prompt",
    "Record",
    "Revision",
    "Role",
    "Slot",
    "SlottedText",
    "Split",
    "SteeredDonor",
    "SteeredNode",
    "SteeredRow",
    "SteeringBody",
    "Template",
    "TokenPlace",
    "Unreachable",
    "exploratory",
    "fault",
    "misfits",
    "pasted",
    "read_csv",
    "read_file",
]

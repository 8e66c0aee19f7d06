"""The one owner of the loaded model: jobs in a queue, progress, cancel. Knows no user interface."""

from service.access import Access, Login, NotAdmitted
from service.jobs import JobState, JobView, Refused, RunRequest, TraceRequest
from service.service import Service
from service.settings import Settings, SettingsError, local_user
from service.slot import Choice, ModelView
from service.stream import Stream

__all__ = [
    "Access",
    "Choice",
    "JobState",
    "JobView",
    "Login",
    "ModelView",
    "NotAdmitted",
    "Refused",
    "RunRequest",
    "Service",
    "Settings",
    "SettingsError",
    "Stream",
    "TraceRequest",
    "local_user",
]

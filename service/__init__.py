"""The one owner of the loaded model: jobs in a queue, progress, cancel. Knows no user interface."""

from service.jobs import JobState, JobView, Refused, RunRequest, TraceRequest
from service.service import Service
from service.settings import Settings, SettingsError, local_user
from service.slot import Choice, ModelView
from service.stream import Stream

__all__ = [
    "Choice",
    "JobState",
    "JobView",
    "ModelView",
    "Refused",
    "RunRequest",
    "Service",
    "Settings",
    "SettingsError",
    "Stream",
    "TraceRequest",
    "local_user",
]

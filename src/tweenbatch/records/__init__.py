"""The values that travel between the rooms: frozen, checked, and without behaviour of their own.

Money is ``Decimal`` US dollars; instants are aware and in UTC.
"""

from tweenbatch.records.content import (
    FileState,
    Frame,
    JobSpec,
    SeenFrame,
    canonical_json,
    common_part,
    content_key,
    identity,
    quoted,
)
from tweenbatch.records.history import OwnRequest, PastRequest, Reach
from tweenbatch.records.imports import EarlierRow, Imported, Known, OldFailures
from tweenbatch.records.job import (
    Artifact,
    Billed,
    Failure,
    Intent,
    Job,
    KeptClip,
    Outcome,
    Phase,
    RemoteStatus,
    RemoteVideo,
    Request,
)
from tweenbatch.records.money import Money, PeriodLimit, Unpaid
from tweenbatch.records.run import FailedAlike, Night, Recovered, Run, Slow, Work
from tweenbatch.records.views import AskedBy, Attempt, Attention, ExportRow, Selection, Story, Took

__all__ = [
    "Artifact",
    "AskedBy",
    "Attempt",
    "Attention",
    "Billed",
    "EarlierRow",
    "ExportRow",
    "FailedAlike",
    "Failure",
    "FileState",
    "Frame",
    "Imported",
    "Intent",
    "Job",
    "JobSpec",
    "KeptClip",
    "Known",
    "Money",
    "Night",
    "OldFailures",
    "Outcome",
    "OwnRequest",
    "PastRequest",
    "PeriodLimit",
    "Phase",
    "Reach",
    "Recovered",
    "RemoteStatus",
    "RemoteVideo",
    "Request",
    "Run",
    "SeenFrame",
    "Selection",
    "Slow",
    "Story",
    "Took",
    "Unpaid",
    "Work",
    "canonical_json",
    "common_part",
    "content_key",
    "identity",
    "quoted",
]

"""Frozen, checked values that the other packages exchange.

It does not know where they come from or what is done with them. Money is ``Decimal`` US dollars;
instants are aware and in UTC.
"""

from tweenbatch.records.content import (
    CachedFrame,
    FileState,
    Frame,
    JobSpec,
    canonical_json,
    common_part,
    content_key,
    identity,
    quoted,
)
from tweenbatch.records.history import HighWaterMark, OwnRequest, PastRequest
from tweenbatch.records.imports import EarlierFailures, EarlierRow, Imported, KnownJob
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
from tweenbatch.records.money import Money, PendingGroup, PeriodLimit
from tweenbatch.records.run import FailureGroup, Night, RecoveryCounts, Run, RunActivity, SlowClip
from tweenbatch.records.views import (
    AskedBy,
    Attempt,
    ClipDuration,
    ExportRow,
    JobHistory,
    JobNeedingAttention,
    Selection,
)

__all__ = [
    "Artifact",
    "AskedBy",
    "Attempt",
    "Billed",
    "CachedFrame",
    "ClipDuration",
    "EarlierFailures",
    "EarlierRow",
    "ExportRow",
    "Failure",
    "FailureGroup",
    "FileState",
    "Frame",
    "HighWaterMark",
    "Imported",
    "Intent",
    "Job",
    "JobHistory",
    "JobNeedingAttention",
    "JobSpec",
    "KeptClip",
    "KnownJob",
    "Money",
    "Night",
    "Outcome",
    "OwnRequest",
    "PastRequest",
    "PendingGroup",
    "PeriodLimit",
    "Phase",
    "RecoveryCounts",
    "RemoteStatus",
    "RemoteVideo",
    "Request",
    "Run",
    "RunActivity",
    "Selection",
    "SlowClip",
    "canonical_json",
    "common_part",
    "content_key",
    "identity",
    "quoted",
]

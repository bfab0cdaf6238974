"""A job, its request at fal, and the outcome of each stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tweenbatch.records.content import JobSpec, canonical_json
from tweenbatch.records.time import refuse_naive
from tweenbatch.states import Event, State


class Billed(StrEnum):
    """Whether fal charged for an attempt."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The id and the URLs that fal gave to an accepted submission."""

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A planned submission, recorded before the first byte of the POST."""

    arguments: Mapping[str, Any]
    price_usd: Decimal
    key_fingerprint: str
    host: str

    @property
    def payload(self) -> str:
        """The canonical body."""
        return canonical_json(dict(self.arguments))


class KeptClip(NamedTuple):
    """A downloaded clip as the table recorded it; its file may be missing by now.

    ``name`` is the job's. It is a flat tuple because there may be many.
    """

    job_id: int
    name: str
    path: str
    bytes: int
    sha256: str
    kept_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job of the table, with the fence of its lease.

    ``attempt`` is the number of the latest attempt (0: none yet). ``tries`` counts the attempts
    whose failure counts against the retry policy. ``attempt_id``, ``sent_at``,
    ``key_fingerprint`` and ``billed`` belong to the latest attempt. So do ``kept``, its clip if it
    was ever downloaded, and ``unfetched_since``, the time of the first failed download.
    """

    id: int
    key: str
    spec: JobSpec
    state: State
    output_name: str
    price_usd: Decimal
    attempt: int
    tries: int
    fence: int
    not_before: datetime | None
    arguments: Mapping[str, Any] | None
    request: Request | None
    accepted_at: datetime | None
    video: "RemoteVideo | None"
    attempt_id: int | None = None
    sent_at: datetime | None = None
    key_fingerprint: str | None = None
    billed: Billed | None = None
    kept: KeptClip | None = None
    unfetched_since: datetime | None = None

    def __post_init__(self) -> None:
        refuse_naive(not_before=self.not_before, accepted_at=self.accepted_at, sent_at=self.sent_at)


class Phase(StrEnum):
    """The stage of a request at fal."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStatus:
    """The status of a request: its phase, the model's log lines, and its error, if any."""

    phase: Phase
    position: int | None = None
    logs: tuple[str, ...] = ()
    error: str | None = None
    error_type: str | None = None
    inference_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteVideo:
    """A generated clip at fal; ``bytes`` is its size according to fal, if given."""

    url: str
    bytes: int | None
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A complete and checked clip on disk."""

    path: Path
    url: str
    bytes: int
    sha256: str
    seconds: float
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt, or a job, ended without a clip.

    ``retryable`` is None if fal gave no answer. ``message`` is text from outside: it is
    shown, never parsed.
    """

    type: str
    message: str
    http_status: int | None = None
    retryable: bool | None = None
    billed: Billed = Billed.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a stage: an event and its facts.

    ``not_before`` is the earliest time to resume the job. ``counts`` is False if the attempt does
    not count against the retry policy. ``charged_usd`` is the price that fal reported; it replaces
    the reserved price if it is higher.
    """

    event: Event
    request: Request | None = None
    video: RemoteVideo | None = None
    artifact: Artifact | None = None
    failure: Failure | None = None
    not_before: datetime | None = None
    counts: bool = True
    charged_usd: Decimal | None = None

    def __post_init__(self) -> None:
        refuse_naive(not_before=self.not_before)

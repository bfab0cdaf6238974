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
    """An accepted submission as fal names it."""

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be submitted; recorded before the first byte of the POST."""

    arguments: Mapping[str, Any]
    price_usd: Decimal
    key_fingerprint: str
    host: str

    @property
    def payload(self) -> str:
        """The canonical body."""
        return canonical_json(dict(self.arguments))


class KeptClip(NamedTuple):
    """A clip as the table recorded it when it came home; whether it still lies there is not told.

    There may be many: a flat tuple. ``name`` is that of its job.
    """

    job_id: int
    name: str
    path: str
    bytes: int
    sha256: str
    kept_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the table holds it, with the lease under which it is worked on.

    ``attempt`` is the number of the latest attempt (0: none yet), ``tries`` how many of
    them ended in a failure that counts against the retry policy. ``attempt_id``, ``sent_at``,
    ``key_fingerprint`` and ``billed`` are of the latest attempt; so are ``kept``, its clip where
    that came home once, and ``unfetched_since``, when the clip could not be fetched first.
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
    """How far fal is with a request."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStatus:
    """One look at a request: its phase, the model's log lines, and an error if it ended in one."""

    phase: Phase
    position: int | None = None
    logs: tuple[str, ...] = ()
    error: str | None = None
    error_type: str | None = None
    inference_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteVideo:
    """A generated clip at fal; ``bytes`` is what fal says of its size, if it does."""

    url: str
    bytes: int | None
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A clip on disk, whole and checked."""

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

    ``retryable`` is None where fal did not say. ``message`` is text from outside: it is
    shown, never parsed.
    """

    type: str
    message: str
    http_status: int | None = None
    retryable: bool | None = None
    billed: Billed = Billed.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a stage found out: the event, and the facts that go with it.

    ``not_before`` says when the job may be taken up again. ``counts`` is False where the
    attempt is given back: it says nothing about the job. ``charged_usd`` is what fal billed by its
    own words; it counts where that is more than was reserved.
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

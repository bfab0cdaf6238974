"""The shapes of rows that statements return, by the names of their columns.

A database row has whatever columns its statement selects, so the type checker can't compare the
two. The tests of the store do.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from tweenbatch.records import Billed
from tweenbatch.states import State
from tweenbatch.store.attempts import AttemptOutcome


class ContentShape(Protocol):
    """The content of a job."""

    endpoint: str
    prompt: str
    start_source: str
    start_sha256: str | None
    end_source: str | None
    end_sha256: str | None
    parameters: Mapping[str, str]
    take: int


class AttemptShape(Protocol):
    """An attempt with its request and its video; all None for a job without one."""

    attempt_id: int
    payload: str | None
    started_at: datetime
    key_fingerprint: str
    billed: Billed | None
    request_id: str | None
    status_url: str
    response_url: str
    cancel_url: str
    accepted_at: datetime | None
    video_url: str | None
    video_bytes: int | None
    video_content_type: str | None
    unfetched_since: datetime | None


class JobShape(ContentShape, Protocol):
    """A job."""

    id: int
    key: str
    state: State
    output_name: str
    price_micro: Decimal
    attempt: int
    tries: int
    fence: int
    not_before: datetime | None


class JobWithAttemptShape(JobShape, AttemptShape, Protocol):
    """A job with its latest attempt and the clip of that attempt."""

    clip_path: str | None
    clip_bytes: int
    clip_sha256: str
    clip_kept_at: datetime
    error_type: str | None
    error_message: str | None
    created_at: datetime
    finished_at: datetime | None


class StagedShape(ContentShape, Protocol):
    """A staged row of a manifest."""

    number: int
    name: str
    key: str
    price_micro: Decimal
    start_image: str
    end_image: str
    priority: int
    tags: Sequence[str]
    extra: Any
    wanted_name: str


class StagedWithJobShape(StagedShape, Protocol):
    """A staged row with the job of its content; the job's columns are None without one."""

    position: int
    place: int
    state: State | None
    error_type: str | None
    job_price: Decimal | None


class EarlierRowShape(ContentShape, Protocol):
    """A row of the last import of a file with its job."""

    number: int
    name: str
    row_take: int
    key: str
    state: State
    price_micro: Decimal
    start_image: str
    end_image: str


class ClipDurationShape(Protocol):
    """The start and end of a clip's generation and download."""

    endpoint: str
    accepted_at: datetime
    finished_at: datetime


class NamedClipDurationShape(ClipDurationShape, Protocol):
    """A ``ClipDurationShape`` that also has the clip's name."""

    output_name: str


class CachedFrameShape(Protocol):
    """A cached inspection of an image file."""

    path: str
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: str
    sha256: str
    facts: Mapping[str, Any]
    looker: int


class PendingGroupShape(Protocol):
    """Waiting jobs of one endpoint, parameters and price."""

    endpoint: str
    parameters: str
    price_usd: Decimal
    jobs: int


class MoneyShape(Protocol):
    """The sum of attempts with the same outcome and billing."""

    billed: Billed | None
    outcome: AttemptOutcome
    price_usd: Decimal

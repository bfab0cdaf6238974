"""A run, its night, and what happened during the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from tweenbatch.records.money import Money
from tweenbatch.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """All runs of one job file on one local date; they share one limit."""

    job: str
    date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCounts:
    """Counts of what dead runs left: released jobs and submissions with unknown outcome."""

    freed: int
    uncertain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the table; ``finished_at`` is None while it is running, or if it died unnoticed.

    ``committed_usd`` is the amount it paid or reserved, without attempts that fal did not bill.
    ``asked`` names its manifests. ``notified_at`` is the time when its digest was sent.
    """

    id: int
    host: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    note: str
    committed_usd: Decimal
    job: str | None
    night: date | None
    asked: str | None
    notified_at: datetime | None

    @property
    def ended_at(self) -> datetime:
        """The end of the run, or its last heartbeat."""
        died = self.exit_code is None
        return self.heartbeat_at if died or self.finished_at is None else self.finished_at


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed jobs with the same error type, with the message and name of one of them."""

    error_type: str
    jobs: int
    message: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClip:
    """A clip with the time of its generation and download, in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunActivity:
    """The results during a run; ``money`` covers its own submissions.

    Clips and failures are all those of the table during that time, including submissions of
    earlier runs. ``counts`` and ``uncertain_usd`` describe the whole table now.
    """

    submitted: int
    money: Money
    made: int
    failed: tuple[FailureGroup, ...]
    slowest: tuple[SlowClip, ...]
    counts: Mapping[State, int]
    uncertain_usd: Decimal

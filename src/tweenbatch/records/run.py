"""A run, its night, and what happened while it was going."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from tweenbatch.records.money import Money
from tweenbatch.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """All runs of one job file on one local date; a limit for a run is one for all of them."""

    job: str
    date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCounts:
    """What a dead run left behind: jobs set free, and submissions of unknown outcome."""

    freed: int
    uncertain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as the table remembers it; ``finished_at`` is None while it goes on, or died unseen.

    ``committed_usd`` is what it paid or reserved, less what fal did not bill. ``asked`` names its
    manifests. ``notified_at`` is when everybody was told of it who was to be.
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
        """When it ended, or was heard of last."""
        died = self.exit_code is None
        return self.heartbeat_at if died or self.finished_at is None else self.finished_at


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Jobs that were given up for one cause, with the words and the name of one of them."""

    error_type: str
    jobs: int
    message: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClip:
    """A clip, and how long fal and the way home took for it, in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunActivity:
    """What came about in the time of a run; ``money`` is that of its own submissions.

    Clips and failures are all of the table in that time: of submissions of earlier runs too.
    ``counts`` is how the whole table stands now, and ``uncertain_usd`` what of it is uncertain.
    """

    submitted: int
    money: Money
    made: int
    failed: tuple[FailureGroup, ...]
    slowest: tuple[SlowClip, ...]
    counts: Mapping[State, int]
    uncertain_usd: Decimal

"""Past requests at fal and in the table, and the table's high-water mark."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tweenbatch.records.time import refuse_naive


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRequest:
    """An ended request from fal's history.

    ``input`` and ``output`` are None if fal did not keep or show the payload.
    Instants are from fal's clock.
    """

    request_id: str
    sent_at: datetime
    ended_at: datetime | None
    http_status: int | None
    input: Any
    output: Any

    def __post_init__(self) -> None:
        refuse_naive(sent_at=self.sent_at, ended_at=self.ended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRequest:
    """A request of an attempt in the table; instants are from this machine's clock.

    Later submissions have a higher ``attempt_id``, even if the clock was changed. ``finished_at``
    is set once the clip is on disk: the request ended at fal before that.
    """

    attempt_id: int
    request_id: str
    key_fingerprint: str
    payload_sha256: str
    sent_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HighWaterMark:
    """The highest ids of a job table; in the same table neither ever decreases.

    ``at`` is the last heartbeat of the run ``run_id``.
    """

    run_id: int
    attempt_id: int
    at: datetime

    def __post_init__(self) -> None:
        refuse_naive(at=self.at)

    def is_ahead_of(self, other: "HighWaterMark | None") -> bool:
        """Return whether this mark includes work that the other lacks."""
        if other is None:
            return True
        return self.run_id > other.run_id or self.attempt_id > other.attempt_id

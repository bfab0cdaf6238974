"""Requests as fal lists them and as the table owns them, and how far the table has come."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tweenbatch.records.time import refuse_naive


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRequest:
    """A request as fal's history lists it once it has ended.

    ``input`` and ``output`` are None where fal did not keep, or did not show, the payload.
    Instants are by fal's clock.
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
    """A request that an attempt of the table owns; instants are by this machine's clock.

    Later submissions have a higher ``attempt_id``, whatever the clock did. ``finished_at`` is
    set once the clip is on disk: the request has ended at fal before that.
    """

    attempt_id: int
    request_id: str
    key_fingerprint: str
    payload_sha256: str
    sent_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HighWaterMark:
    """How far a job table has come: in one and the same table neither number ever falls.

    ``run_id`` and ``attempt_id`` are its highest, ``at`` is the last sign of life of that run.
    """

    run_id: int
    attempt_id: int
    at: datetime

    def __post_init__(self) -> None:
        refuse_naive(at=self.at)

    def is_ahead_of(self, other: "HighWaterMark | None") -> bool:
        """Tell whether there was work here that the other knows nothing of."""
        if other is None:
            return True
        return self.run_id > other.run_id or self.attempt_id > other.attempt_id

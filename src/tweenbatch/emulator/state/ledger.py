"""The ledger: events, submissions and totals in order. The tests rely on it.

Every event is counted once, when it happens; lists are built only on request.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Any

from tweenbatch.clock import Clock

KEPT_EVENTS = 100_000
"""Older events are dropped; the totals still count them."""


class EventName(StrEnum):
    """The kinds of events. Each event has ``n`` (its number), ``at`` and further fields."""

    POST_ARRIVED = "post_arrived"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """A submission ended without being accepted."""
    REPLY_SENT = "reply_sent"
    """The true answer to a submission or upload was sent completely."""
    REPLY_LOST = "reply_lost"
    """It was not: a fault changed it or the client had gone."""
    STARTED = "started"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    RESTORED = "restored"
    """A request of an earlier process is queued again."""
    STATUS_READ = "status_read"
    RESULT_READ = "result_read"
    CANCEL_ASKED = "cancel_asked"
    TOKEN_ISSUED = "token_issued"  # noqa: S105 - the name of an event
    UPLOAD_INITIATED = "upload_initiated"
    UPLOADED = "uploaded"
    DOWNLOAD_STARTED = "download_started"
    DOWNLOAD_FINISHED = "download_finished"
    DOWNLOAD_BROKEN = "download_broken"
    HISTORY_READ = "history_read"
    PRICING_READ = "pricing_read"
    SCHEMA_READ = "schema_read"
    WEBHOOK_SENT = "webhook_sent"
    """A delivery was tried; ``http_status`` is null if there was no answer."""
    WEBHOOK_GIVEN_UP = "webhook_given_up"
    FAULT_PLAYED = "fault_played"
    HELD = "held"
    RELEASED = "released"


class PostReply(StrEnum):
    """The fate of the answer to a submission."""

    PENDING = "pending"
    SENT = "sent"
    """The true answer was sent completely."""
    LOST = "lost"
    """A fault withheld or changed the true answer, or the client had gone."""
    UNKNOWN = "unknown"
    """The submission was answered by an earlier process."""


@dataclass(slots=True, kw_only=True)
class Post:
    """One POST that arrived, accepted or not."""

    n: int
    at: datetime
    account: str
    endpoint_id: str
    input: Any
    faults: list[str] = field(default_factory=list)
    effect: str = ""
    request_id: str | None = None
    reply: PostReply = PostReply.PENDING
    http_status: int | None = None

    def shown(self) -> dict[str, Any]:
        """Return the submission as JSON."""
        return {
            "n": self.n,
            "at": self.at.isoformat(),
            "account": self.account,
            "endpoint_id": self.endpoint_id,
            "input": self.input,
            "faults": self.faults,
            "effect": self.effect,
            "accepted": self.request_id is not None,
            "request_id": self.request_id,
            "reply": self.reply.value,
            "http_status": self.http_status,
        }


@dataclass(slots=True, eq=False)
class _Waiter:
    event: str
    match: dict[str, Any]
    missing: int
    found: list[dict[str, Any]]
    done: asyncio.Future[None]


class Ledger:
    """Events, submissions and totals of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self._waiters: list[_Waiter] = []
        self.last = 0
        self.posts: list[Post] = []
        self.calls: Counter[str] = Counter()
        self.downloads: Counter[str] = Counter()
        self.downloads_by_request: dict[str, Counter[str]] = {}
        self.billed_usd = Decimal(0)
        self.busy_slot_seconds = 0.0
        self.first_started_at: datetime | None = None
        self.last_ended_at: datetime | None = None
        self.most_in_progress = 0

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return self._clock.now().astimezone(UTC)

    def note(self, name: EventName, **facts: Any) -> dict[str, Any]:
        """Record an event and wake the waiting callers."""
        self.last += 1
        event = {
            "n": self.last,
            "at": self.now().isoformat(),
            "event": name.value,
            **facts,
        }
        self._events.append(event)
        for waiter in tuple(self._waiters):
            if _matches(event, waiter.event, waiter.match):
                waiter.found.append(event)
                waiter.missing -= 1
                if waiter.missing <= 0 and not waiter.done.done():
                    waiter.done.set_result(None)
        return event

    def since(self, number: int) -> Iterator[dict[str, Any]]:
        """Yield the events after this number that are still kept."""
        dropped = self.last - len(self._events)
        return islice(self._events, max(0, number - dropped), None)

    async def wait_for(
        self,
        event: str = "",
        *,
        count: int = 1,
        since: int = 0,
        timeout: float = 30.0,  # noqa: ASYNC109 - callers wait over HTTP as well
        match: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the first ``count`` events after ``since`` that match, waiting for them.

        Raises:
            TimeoutError: if they do not happen in time.
        """
        fields = match or {}
        found = [old for old in self.since(since) if _matches(old, event, fields)]
        if len(found) < count:
            done = asyncio.get_running_loop().create_future()
            waiter = _Waiter(event, fields, count - len(found), found, done)
            self._waiters.append(waiter)
            try:
                async with asyncio.timeout(timeout):
                    await done
            except TimeoutError:
                raise TimeoutError(
                    f"waited {timeout:g} s for {count} x '{event or 'any event'}' {fields}; "
                    f"saw {len(found)}"
                ) from None
            finally:
                self._waiters.remove(waiter)
        return found[:count]

    def post_arrived(self, *, account: str, endpoint_id: str, payload: Any) -> Post:
        """Record a submission on arrival, before it has any effect."""
        post = Post(
            n=len(self.posts) + 1,
            at=self.now(),
            account=account,
            endpoint_id=endpoint_id,
            input=payload,
        )
        self.posts.append(post)
        self.note(EventName.POST_ARRIVED, post=post.n, account=account, endpoint_id=endpoint_id)
        return post

    def downloaded(self, key: str, request_id: str | None, count: int = 1) -> None:
        """Add to a total of the downloads, and to the same total of the file's request."""
        self.downloads[key] += count
        if request_id is not None:
            self.downloads_by_request.setdefault(request_id, Counter())[key] += count


def _matches(event: dict[str, Any], name: str, match: dict[str, Any]) -> bool:
    return (not name or event["event"] == name) and all(
        str(event.get(key)) == str(value) for key, value in match.items()
    )

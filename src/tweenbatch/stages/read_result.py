"""Reads the result of a completed request until it proves an outcome.

Reads are free. It does not judge what they prove: ``result_evidence`` does.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Any, Protocol

from tweenbatch.backoff import jittered
from tweenbatch.clock import Clock
from tweenbatch.errors import (
    AnotherRequest,
    Answered,
    Unintelligible,
    Unreachable,
    Unreadable,
)
from tweenbatch.fal import Fal, video_of
from tweenbatch.fal.errors import (
    failure_of,
    failure_of_status,
    shown,
    untyped_failure_of,
)
from tweenbatch.fal.retrying import ATTEMPTS, reading
from tweenbatch.http_statuses import GONE, REFUSES_KEY
from tweenbatch.records import (
    Billed,
    Failure,
    Job,
    Outcome,
    PastRequest,
    Phase,
    RemoteStatus,
    RemoteVideo,
)
from tweenbatch.stages import policy
from tweenbatch.stages.listings import Listings
from tweenbatch.stages.result_evidence import (
    LASTING,
    PAID_UNREADABLE,
    ResultTrouble,
    failed,
    given_up,
    proven_failure,
)
from tweenbatch.states import Event

log = logging.getLogger(__name__)

RESULT_GRACE = LASTING + timedelta(minutes=1)
"""How long one run reads a result that answers with an error which proves nothing."""

ADDRESS_GRACE = timedelta(minutes=2)
"""How long one run reads a result that names another request, or the clip of another."""

RESULT_PAUSES = (1.0, 20.0)
"""Seconds between two reads of a result in trouble: the first and the longest pause."""

LIST_PAUSES = (15.0, 240.0)
"""Seconds between two reads of fal's list of past requests: the first and the longest pause."""

MIXED_UP = "another_request"
"""The failure type of a result that belongs to another request, by its id or its clip."""


class ResultObserver(Protocol):
    """Follows the reading of one result."""

    async def saw_trouble(self, failure: Failure) -> None:
        """Handle a result that answers with an error which proves nothing."""

    async def owner_of(self, video: RemoteVideo) -> str | None:
        """Return the name of another clip that already has this address."""


@dataclass(slots=True, kw_only=True)
class ResultReader:
    """Reads the result of one completed request.

    ``poll`` returns the current status. ``judge_error`` returns the outcome if fal refuses the key
    or does not know the request; None: read again. Unless ``patient``, a result in trouble is
    read only once.
    """

    fal: Fal
    clock: Clock
    rng: random.Random
    listings: Listings
    job: Job
    poll: Callable[[], Awaitable[RemoteStatus]]
    judge_error: Callable[[Answered], Awaitable[Outcome | None]]
    observer: ResultObserver
    patient: bool
    _trouble: ResultTrouble = field(default_factory=ResultTrouble)
    _refusal: Failure | None = None
    """The latest error that concerns only the read, not the generation."""
    _reads: int = 0
    _list_reads: int = 0
    _list_due: float = -inf
    _row: PastRequest | None = None

    async def read(self, status: RemoteStatus) -> Outcome | None:
        """Return the outcome of the request; None: fal works on it again.

        Raises ``Unreadable`` if the result can't be read yet, and the errors of ``judge_error``.
        """
        since = self.clock.monotonic()
        self._trouble = ResultTrouble()
        while True:
            try:
                outcome = await self._read(status)
            except Answered as answer:
                outcome = await self.judge_error(answer)
            except Unreachable as error:
                log.warning("result not read, reading again: %s job=%d", error, self.job.id)
                outcome = None
            if outcome is not None:
                return outcome
            self._refuse_to_read_forever(since)
            await self.clock.sleep(self._pause_seconds())
            try:
                status = await self.poll()
            except (Answered, Unreachable, Unintelligible) as error:
                log.warning("status not read, reading the result: %s job=%d", error, self.job.id)
            if status.phase is not Phase.COMPLETED:
                return None

    async def _read(self, status: RemoteStatus) -> Outcome | None:
        """Return the outcome that one read proves, with other evidence; None: nothing yet.

        The HTTP status of the result counts, whatever the request's status claims.
        """
        request = self.job.request
        assert request is not None
        attempts = 1 if self._reads else ATTEMPTS
        self._reads += 1
        try:
            result = await reading(
                lambda: self.fal.result(request), clock=self.clock, rng=self.rng, attempts=attempts
            )
        except Answered as answer:
            if answer.http_status in REFUSES_KEY | GONE:
                raise
            failure = failure_of(answer) or untyped_failure_of(answer)
            if failure is None:
                self._refusal = _refused_read(answer)
                await self.observer.saw_trouble(self._refusal)
                return None
        except AnotherRequest as error:
            failure = Failure(type=MIXED_UP, message=str(error))
        except Unintelligible as error:
            failure = Failure(type="unintelligible_result", message=str(error))
        else:
            try:
                video = video_of(result)
            except Unintelligible as error:
                failure = _without_video(error, result)
            else:
                owner = await self.observer.owner_of(video)
                if owner is None:
                    return Outcome(event=Event.GENERATED, video=video)
                failure = Failure(type=MIXED_UP, message=f"its result names the clip of {owner}")
        return await self._in_trouble(failure, failure_of_status(status))

    async def _in_trouble(self, failure: Failure, announced: Failure | None) -> Outcome | None:
        """Return the outcome that an answer without a clip proves; None: nothing yet."""
        assert self.job.accepted_at is not None
        trouble, now = self._trouble, self.clock.monotonic()
        if trouble.seen(failure, now=now):
            log.warning(
                "its result has no clip job=%d: %s: %s", self.job.id, failure.type, failure.message
            )
        if announced is None or failure.http_status is None:
            await self._read_list(now)
        listed = video_in(self._row)
        if listed is not None:
            log.warning("its clip is taken from fal's list job=%d", self.job.id)
            return Outcome(event=Event.GENERATED, video=listed)
        wall = self.clock.now()
        proven = proven_failure(trouble, announced=announced, listed=self._row, now=now)
        if proven is not None:
            return policy.decide(proven, tries=self.job.tries, now=wall, rng=self.rng)
        if trouble.lasted(now) >= LASTING:
            accepted_at = self.job.accepted_at
            ended = given_up(trouble, listed=self._row, accepted_at=accepted_at, now=wall)
            if ended is not None:
                return ended
        await self.observer.saw_trouble(failure)
        return None

    async def _read_list(self, now: float) -> None:
        """Read the request's row in fal's list, less and less often, until it shows an end."""
        if now < self._list_due or (self._row is not None and self._row.http_status is not None):
            return
        first, longest = LIST_PAUSES
        self._list_due = now + min(longest, first * 2.0**self._list_reads)
        self._list_reads += 1
        self._row = await self.listings.row_of(self.job)

    def _pause_seconds(self) -> float:
        first, longest = RESULT_PAUSES
        return jittered(self._reads - 1, base=first, cap=longest, rng=self.rng)

    def _refuse_to_read_forever(self, since: float) -> None:
        failure = self._trouble.failure
        mixed_up = failure is not None and failure.type == MIXED_UP
        grace = ADDRESS_GRACE if mixed_up else RESULT_GRACE
        if self.patient and timedelta(seconds=self.clock.monotonic() - since) <= grace:
            return
        failure = failure or self._refusal
        if failure is None:
            raise Unreadable("fal does not answer the request for its result")
        answers = f"its result answers HTTP {failure.http_status}: " if failure.http_status else ""
        raise Unreadable(f"{answers}{failure.message}")


def video_in(row: PastRequest | None) -> RemoteVideo | None:
    """Return the clip named by a row of fal's list, if the request succeeded."""
    if row is None or failed(row) or not isinstance(row.output, Mapping):
        return None
    try:
        return video_of(row.output)
    except Unintelligible:
        return None


def _refused_read(answer: Answered) -> Failure:
    """Return the failure of a read that says nothing about the generation."""
    return Failure(
        type="result_refused", message="fal refuses the read", http_status=answer.http_status
    )


def _without_video(error: Unintelligible, result: Mapping[str, Any]) -> Failure:
    return Failure(
        type=PAID_UNREADABLE,
        message=f"{error}: {shown(result)}",
        retryable=False,
        billed=Billed.YES,
    )

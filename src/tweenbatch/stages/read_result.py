"""The result of a request that has ended, read until it tells what became of it.

Reads are free; what they prove is judged in ``result_evidence``.
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
"""The same for a result that names another request, or the clip of another."""

RESULT_PAUSES = (1.0, 20.0)
"""Seconds between two reads of a result in trouble: the first, and the longest."""

LIST_PAUSES = (15.0, 240.0)
"""The same for looks into fal's list of past requests."""


MIXED_UP = "another_request"
"""The type of a trouble: a result that is of another request, by its id or by its clip."""


class ResultObserver(Protocol):
    """Follows the reading of one result."""

    async def saw_trouble(self, failure: Failure) -> None:
        """Handle a result that answers with an error which proves nothing."""

    async def owner_of(self, video: RemoteVideo) -> str | None:
        """Return the name of another clip that already has this address."""


@dataclass(slots=True, kw_only=True)
class ResultReader:
    """Reads the result of one request that fal calls completed.

    ``look`` returns the request's status anew. ``refused`` says what follows where fal does not
    know the key or the request; None: read again. Not ``patient``, it reads a result in trouble
    once.
    """

    fal: Fal
    clock: Clock
    rng: random.Random
    listings: Listings
    job: Job
    look: Callable[[], Awaitable[RemoteStatus]]
    refused: Callable[[Answered], Awaitable[Outcome | None]]
    observer: ResultObserver
    patient: bool
    _trouble: ResultTrouble = field(default_factory=ResultTrouble)
    _refusal: Failure | None = None
    """The latest answer that speaks of the read alone."""
    _reads: int = 0
    _list_looks: int = 0
    _list_due: float = -inf
    _row: PastRequest | None = None

    async def told(self, status: RemoteStatus) -> Outcome | None:
        """Return what the request came to; None: fal is at it again.

        Raises ``Unreadable`` where it can't be had for now, and what ``refused`` raises.
        """
        since = self.clock.monotonic()
        self._trouble = ResultTrouble()
        while True:
            try:
                outcome = await self._read(status)
            except Answered as answer:
                outcome = await self.refused(answer)
            except Unreachable as error:
                log.warning("result not read, again: %s job=%d", error, self.job.id)
                outcome = None
            if outcome is not None:
                return outcome
            self._refuse_to_read_for_ever(since)
            await self.clock.sleep(self._pause_seconds())
            try:
                status = await self.look()
            except (Answered, Unreachable, Unintelligible) as error:
                log.warning("status not read, the result is: %s job=%d", error, self.job.id)
            if status.phase is not Phase.COMPLETED:
                return None

    async def _read(self, status: RemoteStatus) -> Outcome | None:
        """Return what one read, and what is known beside it, proves; None: nothing yet.

        The result's HTTP status is the truth, whatever the status said.
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
                self._refusal = _of_the_read(answer)
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
                whose = await self.observer.owner_of(video)
                if whose is None:
                    return Outcome(event=Event.GENERATED, video=video)
                failure = Failure(type=MIXED_UP, message=f"its result names the clip of {whose}")
        return await self._in_trouble(failure, failure_of_status(status))

    async def _in_trouble(self, failure: Failure, announced: Failure | None) -> Outcome | None:
        """Return what follows from an answer that is no clip; None: nothing yet."""
        assert self.job.accepted_at is not None
        trouble, now = self._trouble, self.clock.monotonic()
        if trouble.seen(failure, now=now):
            told = (self.job.id, failure.type, failure.message)
            log.warning("its result is no clip job=%d: %s: %s", *told)
        if announced is None or failure.http_status is None:
            await self._look_into_the_list(now)
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

    async def _look_into_the_list(self, now: float) -> None:
        """Read the request's own row, less and less often; one that tells of an end stays so."""
        if now < self._list_due or (self._row is not None and self._row.http_status is not None):
            return
        first, longest = LIST_PAUSES
        self._list_due = now + min(longest, first * 2.0**self._list_looks)
        self._list_looks += 1
        self._row = await self.listings.row_of(self.job)

    def _pause_seconds(self) -> float:
        first, longest = RESULT_PAUSES
        return jittered(self._reads - 1, base=first, cap=longest, rng=self.rng)

    def _refuse_to_read_for_ever(self, since: float) -> None:
        failure = self._trouble.failure
        mixed_up = failure is not None and failure.type == MIXED_UP
        grace = ADDRESS_GRACE if mixed_up else RESULT_GRACE
        if self.patient and timedelta(seconds=self.clock.monotonic() - since) <= grace:
            return
        failure = failure or self._refusal
        if failure is None:
            raise Unreadable("its result does not answer")
        answers = f"its result answers HTTP {failure.http_status}: " if failure.http_status else ""
        raise Unreadable(f"{answers}{failure.message}")


def video_in(row: PastRequest | None) -> RemoteVideo | None:
    """Return the clip that a row of fal's list names, if the request succeeded."""
    if row is None or failed(row) or not isinstance(row.output, Mapping):
        return None
    try:
        return video_of(row.output)
    except Unintelligible:
        return None


def _of_the_read(answer: Answered) -> Failure:
    """Return a trouble that says nothing of the generation, as it is told."""
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

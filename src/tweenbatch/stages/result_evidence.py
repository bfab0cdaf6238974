"""What an error at the result of a finished request proves about its generation. Pure judgement.

A result that answers 4xx or 5xx is one witness: the trouble may be the read's, and the paid clip
may be there. A second one is the error in the request's status, the request's own row in fal's
list, or the same answer over minutes. Without it the request stays open, its price reserved.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from tweenbatch.fal.errors import UNTYPED
from tweenbatch.records import Billed, Failure, Outcome, PastRequest
from tweenbatch.stages import policy
from tweenbatch.states import Event

REPEATED = timedelta(minutes=2)
"""How long a refusal (4xx) has to be the same before it counts as that of the row."""

LASTING = timedelta(minutes=12)
"""The same for what would be paid for again. Gateways were seen to answer 5xx in place of clips
that were there; unverified is for how long."""

LEAST_READS = 4

PAID_UNREADABLE = "paid_unreadable"
"""The type of a good answer that names no clip."""

GIVEN_UP_AFTER = timedelta(hours=24)
"""From its acceptance on; until then an answer that proves nothing is read in each run."""


@dataclass(slots=True, kw_only=True)
class ResultTrouble:
    """What a result answers instead of a clip; ``since`` and ``now`` are ``Clock.monotonic``."""

    failure: Failure | None = None
    since: float = 0.0
    reads: int = 0

    def seen(self, failure: Failure, *, now: float) -> bool:
        """Count an answer; tell whether it is another one than before."""
        before = self.failure
        another = before is None or alike(before) != alike(failure)
        if another:
            self.since, self.reads = now, 0
        self.failure = failure
        self.reads += 1
        return another

    def lasted(self, now: float) -> timedelta:
        """Return for how long the answer has been the same."""
        return timedelta(seconds=now - self.since)

    def repeated(self, now: float) -> bool:
        """Tell whether it has been read the same often enough to be believed of a row."""
        return self.reads >= LEAST_READS and self.lasted(now) >= REPEATED


def alike(failure: Failure) -> tuple[str, int | None]:
    """Return what makes failures the same: never their words."""
    return failure.type, failure.http_status


def proven_failure(
    trouble: ResultTrouble,
    *,
    announced: Failure | None,
    listed: PastRequest | None,
    now: float,
) -> Failure | None:
    """Return the failed generation where a second witness confirms it; None: not proven.

    ``announced`` is the status's own error, ``listed`` the request's row in fal's list. A row
    without an error outweighs all else: then there is a clip.
    """
    failure = trouble.failure
    if failure is not None and failure.type == PAID_UNREADABLE:
        # The list names no clip either, or it would have been taken.
        agreed = listed is not None and succeeded(listed) and listed.output is not None
        return failure if agreed or trouble.repeated(now) else None
    if failure is None or failure.http_status is None:
        return None
    if listed is not None and listed.http_status is not None:
        return _as_listed(failure, listed.http_status)
    if announced is not None:
        typed = failure.type != UNTYPED
        return failure if typed else replace(announced, http_status=failure.http_status)
    return _by_repetition(trouble, failure, now=now)


def _by_repetition(trouble: ResultTrouble, failure: Failure, *, now: float) -> Failure | None:
    """Return what the same answer proves by itself, read again and again."""
    lasting = trouble.reads >= LEAST_READS and trouble.lasted(now) >= LASTING
    assert failure.http_status is not None
    if failure.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Nobody but the read has said that it failed, so that it may be billed as well.
        typed = failure.type != UNTYPED
        return replace(failure, billed=Billed.UNKNOWN) if typed and lasting else None
    repeated = trouble.repeated(now) and not policy.is_transient(failure)
    return failure if lasting or repeated else None


def given_up(
    trouble: ResultTrouble,
    *,
    listed: PastRequest | None,
    accepted_at: datetime,
    now: datetime,
) -> Outcome | None:
    """Return the end of a request whose result has been unreadable for a day; None: not yet."""
    failure = trouble.failure
    if failure is None or failure.http_status is None or now - accepted_at < GIVEN_UP_AFTER:
        return None
    if listed is not None and succeeded(listed):
        return policy.lost("fal made the clip, and its result can't be read")
    unread = Failure(
        type="result_unreadable",
        message=f"its result has answered HTTP {failure.http_status} for a day: {failure.message}",
        http_status=failure.http_status,
        retryable=False,
    )
    return Outcome(event=Event.GAVE_UP, failure=unread)


def succeeded(listed: PastRequest) -> bool:
    """Tell whether fal's list says that the request ended without an error."""
    return listed.http_status is not None and listed.http_status < HTTPStatus.BAD_REQUEST


def failed(listed: PastRequest) -> bool:
    """Tell whether fal's list says that the request ended with an error."""
    return listed.http_status is not None and listed.http_status >= HTTPStatus.BAD_REQUEST


def _as_listed(failure: Failure, http_status: int) -> Failure | None:
    """Return what result and list say together: None where the list knows of no error."""
    if http_status < HTTPStatus.BAD_REQUEST:
        return None
    by_the_service = http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    assert failure.http_status is not None
    if by_the_service is (failure.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR):
        return replace(failure, billed=Billed.NO) if by_the_service else failure
    # They agree that it failed and not on whose fault it is: then it is not bought unasked.
    return replace(failure, http_status=http_status, retryable=False, billed=Billed.UNKNOWN)

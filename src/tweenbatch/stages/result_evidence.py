"""Decide whether an error at a finished request's result proves a failed generation.

Pure functions. A result that answers 4xx or 5xx is only one piece of evidence: perhaps only the
read failed, and the paid clip exists. A second piece is the error in the request's status, its row
in fal's list, or the same answer for minutes. Without one, the request stays open with its price
reserved.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from tweenbatch.fal.errors import UNTYPED
from tweenbatch.records import Billed, Failure, Outcome, PastRequest
from tweenbatch.stages import policy
from tweenbatch.states import Event

REPEATED = timedelta(minutes=2)
"""A refusal (4xx) must stay the same for this long before it counts against the row."""

LASTING = timedelta(minutes=12)
"""How long a failure must stay the same before the clip is bought again. Gateways have answered 5xx
for clips that existed; for how long is unverified."""

LEAST_READS = 4

PAID_UNREADABLE = "paid_unreadable"
"""The error type of a successful answer without a clip."""

GIVEN_UP_AFTER = timedelta(hours=24)
"""For this long after acceptance, each run reads an inconclusive answer again."""


@dataclass(slots=True, kw_only=True)
class ResultTrouble:
    """The error that a result gives instead of a clip; times are ``Clock.monotonic``."""

    failure: Failure | None = None
    since: float = 0.0
    reads: int = 0

    def seen(self, failure: Failure, *, now: float) -> bool:
        """Count an answer; tell whether it differs from the one before."""
        before = self.failure
        differs = before is None or alike(before) != alike(failure)
        if differs:
            self.since, self.reads = now, 0
        self.failure = failure
        self.reads += 1
        return differs

    def lasted(self, now: float) -> timedelta:
        """Return how long the answer has been the same."""
        return timedelta(seconds=now - self.since)

    def repeated(self, now: float) -> bool:
        """Tell whether the answer was repeated often and long enough to count against a row."""
        return self.reads >= LEAST_READS and self.lasted(now) >= REPEATED


def alike(failure: Failure) -> tuple[str, int | None]:
    """Return the values by which failures are compared; their text is ignored."""
    return failure.type, failure.http_status


def proven_failure(
    trouble: ResultTrouble,
    *,
    announced: Failure | None,
    listed: PastRequest | None,
    now: float,
) -> Failure | None:
    """Return the failure if a second piece of evidence confirms it, else None.

    ``announced`` is the error in the status, ``listed`` the request's row in fal's list. A row
    without an error outweighs everything else: then there is a clip.
    """
    failure = trouble.failure
    if failure is not None and failure.type == PAID_UNREADABLE:
        # The list has no clip either; otherwise it would have been used.
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
    """Return the failure that a repeated answer proves without other evidence, or None."""
    lasting = trouble.reads >= LEAST_READS and trouble.lasted(now) >= LASTING
    assert failure.http_status is not None
    if failure.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # Only the read reports a failure, so fal may have billed the generation.
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
    """Return the outcome of a request whose result was unreadable for a day; None before."""
    failure = trouble.failure
    if failure is None or failure.http_status is None or now - accepted_at < GIVEN_UP_AFTER:
        return None
    if listed is not None and succeeded(listed):
        return policy.lost("fal made the clip, but its result can't be read")
    unread = Failure(
        type="result_unreadable",
        message=f"the result answered HTTP {failure.http_status} for a day: {failure.message}",
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
    """Combine the errors of result and list; None if the list shows no error."""
    if http_status < HTTPStatus.BAD_REQUEST:
        return None
    by_the_service = http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    assert failure.http_status is not None
    if by_the_service is (failure.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR):
        return replace(failure, billed=Billed.NO) if by_the_service else failure
    # Both say that it failed, but blame different sides: don't buy it again without asking.
    return replace(failure, http_status=http_status, retryable=False, billed=Billed.UNKNOWN)

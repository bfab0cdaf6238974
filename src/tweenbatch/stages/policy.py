"""Decisions as pure functions: what follows a failure, and how long to wait for what.

Nothing here sleeps, reads a clock or rolls dice: the hour and the randomness are arguments.
"""

import random
from datetime import datetime, timedelta
from http import HTTPStatus

from tweenbatch.backoff import jittered
from tweenbatch.records import Billed, Failure, Outcome
from tweenbatch.states import Event

CLIENT_CANCELLED = "client_cancelled"
"""Somebody did not want it any more: through us, or on fal's dashboard."""

TRANSIENT: frozenset[str] = frozenset(
    {
        "internal_server_error",
        "generation_timeout",
        "downstream_service_error",
        "downstream_service_unavailable",
        "request_timeout",
        "startup_timeout",
        "internal_error",
        "file_download_error",
    }
)
"""Error types that blame the service, as do all that begin with ``runner_``; and a frame that
fal could not read, which may be its host's moment (fal's error reference)."""

PERMANENT: frozenset[str] = frozenset(
    {
        "bad_request",
        CLIENT_CANCELLED,
        "client_disconnected",
        "content_policy_violation",
        "face_detection_error",
        "feature_not_supported",
        "file_too_large",
        "image_load_error",
        "image_too_large",
        "image_too_small",
        "literal_error",
        "missing",
        "no_media_generated",
        "one_of",
        "unsupported_image_format",
    }
)
"""Error types that blame the row, or somebody's wish: no header makes them worth a try."""

MODERATION: frozenset[str] = frozenset({"content_policy_violation"})
"""Refusals of what one row shows or says: they tell nothing about the other rows."""

MAX_TRIES = 3
"""Generations of one job that may fail before it is given up."""

TRIES_BY_TYPE = {"file_download_error": 2}
"""Failures that are worth fewer tries: a frame's address that fal could not read twice
is gone."""

RETRY_BASE_SECONDS = 20.0
RETRY_CAP_SECONDS = 600.0


def is_transient(failure: Failure) -> bool:
    """Tell whether the same submission may well succeed another time.

    fal's own word (the retryable header) decides about all that does not blame the row.
    """
    if failure.type in PERMANENT:
        return False
    if failure.type in TRANSIENT or failure.type.startswith("runner_"):
        return failure.retryable is not False
    if failure.http_status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return False
    if failure.retryable is not None:
        return failure.retryable
    return (
        failure.http_status is not None and failure.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def decide(failure: Failure, *, tries: int, now: datetime, rng: random.Random) -> Outcome:
    """Return what a failed generation means: another one later (paid anew), or the end.

    ``tries`` counts the failures before this one. What a person stopped is no failure.
    """
    if failure.type == CLIENT_CANCELLED:
        return Outcome(event=Event.CANCELLED, failure=failure)
    allowed = TRIES_BY_TYPE.get(failure.type, MAX_TRIES)
    if is_transient(failure) and tries + 1 < allowed:
        pause = jittered(tries, base=RETRY_BASE_SECONDS, cap=RETRY_CAP_SECONDS, rng=rng)
        return Outcome(
            event=Event.RETRY, failure=failure, not_before=now + timedelta(seconds=pause)
        )
    return Outcome(event=Event.GAVE_UP, failure=failure)


def lost(message: str) -> Outcome:
    """Return the end of a job whose clip was paid for and can't be had any more."""
    failure = Failure(type="paid_but_lost", message=message, retryable=False, billed=Billed.YES)
    return Outcome(event=Event.GAVE_UP, failure=failure)

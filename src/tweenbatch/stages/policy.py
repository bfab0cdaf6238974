"""Decide whether a failed generation is retried, and when. Pure functions.

Time and randomness are arguments; nothing here sleeps or reads a clock.
"""

import random
from datetime import datetime, timedelta
from http import HTTPStatus

from tweenbatch.backoff import jittered
from tweenbatch.records import Billed, Failure, Outcome
from tweenbatch.states import Event

CLIENT_CANCELLED = "client_cancelled"
"""A person cancelled the request, through tweenbatch or on fal's dashboard."""

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
fal could not download, because its host may have failed briefly (fal's error reference)."""

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
"""Error types that blame the row, or a cancellation: no header makes them worth a retry."""

MODERATION: frozenset[str] = frozenset({"content_policy_violation"})
"""Refusals of one row's frames or prompt: they say nothing about other rows."""

MAX_TRIES = 3
"""Failed generations of one job before it is given up."""

TRIES_BY_TYPE = {"file_download_error": 2}
"""Failures with fewer tries: a frame URL that failed twice is gone."""

RETRY_BASE_SECONDS = 20.0
RETRY_CAP_SECONDS = 600.0


def is_transient(failure: Failure) -> bool:
    """Tell whether the same submission may succeed later.

    For failures that do not blame the row, fal's retryable header decides.
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
    """Return the outcome of a failed generation: retry later (charged again), or give up.

    ``tries`` counts earlier failures. A request that a person stopped counts as cancelled.
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
    """Return the outcome of a job whose paid clip can no longer be downloaded."""
    failure = Failure(type="paid_but_lost", message=message, retryable=False, billed=Billed.YES)
    return Outcome(event=Event.GAVE_UP, failure=failure)

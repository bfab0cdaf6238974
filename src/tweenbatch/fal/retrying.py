"""Repeat free calls (reads and uploads) a bounded number of times.

Never use it for a submission: repeating one could pay twice. A call is repeated if it got no
answer, or an answer about a passing condition.
"""

import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from tweenbatch.backoff import exponential
from tweenbatch.clock import Clock
from tweenbatch.errors import Answered, Unreachable
from tweenbatch.fal.errors import retry_after_seconds
from tweenbatch.http_statuses import PASSING

T = TypeVar("T")

ATTEMPTS = 5
DEADLINE_SECONDS = 120.0
BASE_SECONDS = 0.5
CAP_SECONDS = 20.0


async def reading(
    call: Callable[[], Awaitable[T]],
    *,
    clock: Clock,
    attempts: int = ATTEMPTS,
    deadline_seconds: float = DEADLINE_SECONDS,
    rng: random.Random | None = None,
) -> T:
    """Return the value of ``call``, repeating it while that may help; raise its last error.

    Pauses have full jitter and are at least as long as ``Retry-After``. A pause that would end
    after the deadline does not start.
    """
    dice = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
    started = clock.monotonic()

    async def attempt() -> T:
        return await call()

    def pause_seconds(state: RetryCallState) -> float:
        ceiling = exponential(state.attempt_number - 1, base=BASE_SECONDS, cap=CAP_SECONDS)
        return max(dice.uniform(0.0, ceiling), _retry_after_seconds(state, clock))

    def too_late(state: RetryCallState) -> bool:
        return clock.monotonic() - started + state.upcoming_sleep > deadline_seconds

    retrying = AsyncRetrying(
        sleep=clock.sleep,
        stop=lambda state: stop_after_attempt(attempts)(state) or too_late(state),
        wait=pause_seconds,
        retry=retry_if_exception(is_worth_repeating),
        reraise=True,
    )
    return await retrying(attempt)


def is_worth_repeating(error: BaseException) -> bool:
    """Tell whether an error of a read may pass.

    A failed generation answers every read with its 5xx. If the same kind of answer goes away, only
    the read had failed, and the paid clip exists.
    """
    if isinstance(error, Unreachable):
        return True
    return isinstance(error, Answered) and (
        error.http_status in PASSING or error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _retry_after_seconds(state: RetryCallState, clock: Clock) -> float:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Answered):
        return 0.0
    return retry_after_seconds(error.headers, now=clock.now()) or 0.0

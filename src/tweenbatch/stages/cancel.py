"""Ask fal to cancel a request; report success only once its status confirms it.

A request that continues all the same is paid, and its clip is downloaded like any other.
"""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tweenbatch.clock import Clock
from tweenbatch.errors import Answered, FalError
from tweenbatch.fal import Fal
from tweenbatch.fal.errors import failure_of
from tweenbatch.fal.retrying import reading
from tweenbatch.records import Failure, Job, Phase
from tweenbatch.stages.policy import CLIENT_CANCELLED

CANCELS_AT_ONCE = 8
POLLS = 5
POLL_SECONDS = 1.0
"""fal stops a queued request at once; waiting longer for the others would not help."""


class Fate(StrEnum):
    """What became of the request."""

    STOPPED = "stopped"
    CONTINUES = "continues"
    """fal accepted the cancellation; the request may still be stopped, or finish."""
    ENDED = "ended"
    """The request had ended before."""
    UNREACHED = "unreached"
    """fal could not be reached, or did not accept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult:
    """One request and its fate; ``failure`` is fal's description of the end of a stopped one."""

    job: Job
    fate: Fate
    failure: Failure | None = None
    trouble: str = ""


async def cancel(
    jobs: Iterable[Job], *, fal: Fal, clock: Clock, rng: random.Random
) -> list[CancelResult]:
    """Ask fal to stop the requests of ``submitted`` jobs, and report each result."""
    slots = asyncio.Semaphore(CANCELS_AT_ONCE)

    async def cancel_in_slot(job: Job) -> CancelResult:
        async with slots:
            try:
                return await _cancel_one(job, fal=fal, clock=clock, rng=rng)
            except FalError as error:
                return CancelResult(job=job, fate=Fate.UNREACHED, trouble=str(error))

    return await asyncio.gather(*map(cancel_in_slot, jobs))


async def _cancel_one(job: Job, *, fal: Fal, clock: Clock, rng: random.Random) -> CancelResult:
    request = job.request
    assert request is not None
    if not await reading(lambda: fal.cancel(request), clock=clock, rng=rng):
        return CancelResult(job=job, fate=Fate.ENDED)
    for poll in range(POLLS):
        if poll:
            await clock.sleep(POLL_SECONDS)
        status = await reading(lambda: fal.status(request, logs=False), clock=clock, rng=rng)
        if status.phase is Phase.COMPLETED:
            failure = await _failure(job, fal)
            if failure is None or failure.type != CLIENT_CANCELLED:
                return CancelResult(job=job, fate=Fate.ENDED)
            return CancelResult(job=job, fate=Fate.STOPPED, failure=failure)
    return CancelResult(job=job, fate=Fate.CONTINUES)


async def _failure(job: Job, fal: Fal) -> Failure | None:
    """Return the request's failure; None if there is a clip or the result has no failure."""
    assert job.request is not None
    try:
        await fal.result(job.request)
    except Answered as answer:
        return failure_of(answer)
    return None

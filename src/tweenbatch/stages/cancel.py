"""A person's wish that fal stop: asked once, and believed only when the request has ended so.

What goes on all the same is paid, and is collected as any other.
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

AT_ONE_TIME = 8
LOOKS = 5
LOOK_SECONDS = 1.0
"""What waits in fal's queue is stopped at once; nothing else is worth a longer wait."""


class Fate(StrEnum):
    """What fal makes of the wish."""

    STOPPED = "stopped"
    GOES_ON = "goes_on"
    """fal was told; the request may still be stopped, or come to its end."""
    ENDED = "ended"
    """It had come to its end before."""
    NOT_TOLD = "not_told"
    """fal could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult:
    """One request and its fate; ``failure`` is how fal words its end, where it was stopped."""

    job: Job
    fate: Fate
    failure: Failure | None = None
    trouble: str = ""


async def cancel(
    jobs: Iterable[Job], *, fal: Fal, clock: Clock, rng: random.Random
) -> list[CancelResult]:
    """Ask fal to stop the requests of jobs that are ``submitted``, and see what becomes of it."""
    room = asyncio.Semaphore(AT_ONE_TIME)

    async def one(job: Job) -> CancelResult:
        async with room:
            try:
                return await _ask(job, fal=fal, clock=clock, rng=rng)
            except FalError as error:
                return CancelResult(job=job, fate=Fate.NOT_TOLD, trouble=str(error))

    return await asyncio.gather(*map(one, jobs))


async def _ask(job: Job, *, fal: Fal, clock: Clock, rng: random.Random) -> CancelResult:
    request = job.request
    assert request is not None
    if not await reading(lambda: fal.cancel(request), clock=clock, rng=rng):
        return CancelResult(job=job, fate=Fate.ENDED)
    for look in range(LOOKS):
        if look:
            await clock.sleep(LOOK_SECONDS)
        status = await reading(lambda: fal.status(request, logs=False), clock=clock, rng=rng)
        if status.phase is Phase.COMPLETED:
            failure = await _failure(job, fal)
            if failure is None or failure.type != CLIENT_CANCELLED:
                return CancelResult(job=job, fate=Fate.ENDED)
            return CancelResult(job=job, fate=Fate.STOPPED, failure=failure)
    return CancelResult(job=job, fate=Fate.GOES_ON)


async def _failure(job: Job, fal: Fal) -> Failure | None:
    """Return how the request failed; None where there is a clip, or nothing to be read."""
    assert job.request is not None
    try:
        await fal.result(job.request)
    except Answered as answer:
        return failure_of(answer)
    return None

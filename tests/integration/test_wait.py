"""Waiting for a clip: whatever the reads say, only a typed failure is ever paid for again."""

import asyncio
import json
import math
import random

import pytest

from support.command import KEY
from support.jobs import NOON, job
from support.jumping import Jumping
from support.wire import Seen, answer, wire
from tweenbatch.errors import Unreadable
from tweenbatch.fal import Fal, request_of
from tweenbatch.models import KLING_O1
from tweenbatch.records import Failure, Job, RemoteStatus, RemoteVideo
from tweenbatch.stages.listings import Listings
from tweenbatch.stages.poll_schedule import PollScheduler
from tweenbatch.stages.poll_timing import PollTiming
from tweenbatch.stages.read_result import RESULT_GRACE
from tweenbatch.stages.wait import Waiter


class Alone:
    """A request that waits for no other, and whose events nobody follows."""

    def saw_status(self, status: RemoteStatus) -> None:
        """Ignore it."""

    def got_no_answer(self, reason: str, since: float) -> None:
        """Ignore it."""

    async def saw_trouble(self, failure: Failure) -> None:
        """Ignore it."""

    async def owner_of(self, video: RemoteVideo) -> None:
        """Return None: no other clip is known."""

    def probed_since(self) -> None:
        """Return None: it is not the probe."""

    def slot_available_since(self) -> float:
        return -math.inf

    async def let_submissions_go_first(self) -> None:
        """Return at once."""


def submitted() -> Job:
    return job(request=request_of(KLING_O1.id, "r-1"), accepted_at=NOON, sent_at=NOON)


def waiter(fal: Fal, clock: Jumping) -> Waiter:
    rng = random.Random(7)
    polls = PollScheduler(clock=clock, timing=PollTiming(rng))
    listings = Listings(fal=fal, clock=clock, rng=rng)
    return Waiter(fal=fal, clock=clock, rng=rng, polls=polls, listings=listings)


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b'{"detail": "Internal error"}'])
async def test_a_result_that_can_not_be_read_is_left_for_later_and_not_bought_again(
    body: bytes,
) -> None:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target.partition("?")[0].endswith("/status"):
            done: dict[str, object] = {"status": "COMPLETED", "logs": None, "metrics": {}}
            writer.write(answer(200, json.dumps(done).encode()))
        else:
            writer.write(answer(500, body))

    clock = Jumping()
    async with wire(behave) as server, Fal.connect(connect_to=server.url, key=KEY) as fal:
        with pytest.raises(Unreadable, match="HTTP 500"):
            await waiter(fal, clock).wait(submitted(), observer=Alone())
    assert clock.at - NOON > RESULT_GRACE

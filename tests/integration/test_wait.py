"""Waiting for a clip: whatever the reads say, only a typed failure is ever paid for again."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from support.command import KEY
from support.wire import Seen, answer, wire
from tweenbatch.errors import Unreadable
from tweenbatch.fal import Fal
from tweenbatch.records import Frame, Job, JobSpec, Request
from tweenbatch.stages.wait import RESULT_GRACE, Waiter
from tweenbatch.states import State

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE = "https://queue.fal.run/fal-ai/kling-video/requests/r-1"


class Jumping:
    """A clock that is where a sleep would have led, at once."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - NOON).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def job() -> Job:
    frame = Frame(source="https://example.com/a.png")
    return Job(
        id=1,
        key="0" * 64,
        spec=JobSpec(
            endpoint="fal-ai/kling-video/o1/image-to-video",
            prompt="x",
            start=frame,
            end=frame,
            parameters={"duration": "5"},
        ),
        state=State.SUBMITTED,
        output_name="clip",
        price_usd=Decimal("0.56"),
        attempt=1,
        tries=0,
        fence=1,
        not_before=None,
        arguments={},
        request=Request(
            request_id="r-1",
            status_url=f"{BASE}/status",
            response_url=BASE,
            cancel_url=f"{BASE}/cancel",
        ),
        accepted_at=NOON,
        video=None,
    )


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
            await Waiter(fal=fal, clock=clock, rng=random.Random(7)).wait(job())
    assert clock.at - NOON > RESULT_GRACE

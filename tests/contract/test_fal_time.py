"""fal's clock, read from its answers, and the start timeout that a submission carries."""

import asyncio
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import pytest

from support.command import KEY
from support.virtual import VirtualClock, virtually
from support.wire import Seen, answer, wire
from support.world import NOON
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.fal import START_TIMEOUT, Fal
from tweenbatch.models import KLING_O1

ARGUMENTS = {"prompt": "Snow melts.", "start_image_url": "https://example.com/a.png"}
SECOND = timedelta(seconds=1)


async def read_notes(*dates: str | None) -> datetime | None:
    """Return fal's time after answers with these dates."""
    given = iter(dates)

    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        date = next(given)
        headers = {} if date is None else {"date": date}
        writer.write(answer(200, b'{"items": []}', **headers))

    async with wire(behave) as server, Fal.connect(connect_to=server.url, key=KEY) as fal:
        assert fal.now() is None
        for _ in dates:
            await fal.history(KLING_O1.id, since=NOON)
        return fal.now()


async def test_the_time_is_that_of_the_last_answer_that_tells_it() -> None:
    dates = (format_datetime(NOON - timedelta(days=1), usegmt=True), format_datetime(NOON), None)
    now = await read_notes(*dates)
    assert now is not None
    assert timedelta(0) <= now - NOON < timedelta(minutes=1)


@pytest.mark.parametrize("odd", [None, "", "soon", "Mon, 99 Foo 2026 25:61:00 GMT", "1772366400"])
async def test_an_answer_that_has_no_date_tells_nothing(odd: str | None) -> None:
    assert await read_notes(odd) is None


@pytest.mark.parametrize("ahead", [0.0, 5 * 3600.0, -26 * 3600.0])
def test_it_goes_on_between_answers_whatever_becomes_of_our_clock(ahead: float) -> None:
    async def body() -> None:
        ours = VirtualClock(NOON, skew=ahead)
        theirs = VirtualClock(NOON)
        async with (
            Emulator(Settings(), clock=theirs) as emulator,
            Fal.connect(connect_to=emulator.url, key=KEY) as fal,
        ):
            await fal.history(KLING_O1.id, since=NOON)
            ours.jump(-2 * ahead)
            await asyncio.sleep(3 * 3600.0)
            now = fal.now()
            assert now is not None
            assert timedelta(0) <= theirs.now() - now < 2 * SECOND

    virtually(body)


async def test_a_submission_says_by_when_it_must_have_begun() -> None:
    """Under its old name and under its new one."""
    async with wire(_accepts) as server, Fal.connect(connect_to=server.url, key=KEY) as fal:
        await fal.submit(KLING_O1.id, ARGUMENTS)
    [post] = server.posts()
    for name in ("x-fal-request-timeout", "x-fal-request-start-timeout"):
        assert timedelta(seconds=float(post.headers[name])) == START_TIMEOUT


async def _accepts(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    urls = ", ".join(f'"{name}_url": "https://queue.fal.run/x"' for name in ("status", "response"))
    body = f'{{"request_id": "r-1", {urls}, "cancel_url": "https://queue.fal.run/x"}}'
    writer.write(answer(200, body.encode()))


def test_a_request_that_nobody_began_ends_by_then_also_after_fal_was_away(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        clock = VirtualClock(NOON)
        again = partial(Emulator, Settings(), state=tmp_path, clock=clock)
        async with again() as emulator:
            emulator.script([{"on": "generation", "do": "hold"}])
            async with Fal.connect(connect_to=emulator.url, key=KEY) as fal:
                for _ in range(11):
                    await fal.submit(KLING_O1.id, ARGUMENTS)
            await asyncio.sleep(3600.0)
        async with again() as emulator:
            emulator.script([{"on": "generation", "do": "hold"}])
            await asyncio.sleep(START_TIMEOUT.total_seconds() - 3700.0)
            states = [each["state"] for each in emulator.ledger()["accepted"]]
            assert states.count("IN_QUEUE") == 1
            await asyncio.sleep(200.0)
            states = [each["state"] for each in emulator.ledger()["accepted"]]
            assert (states.count("IN_QUEUE"), states.count("FAILED")) == (0, 1)

    virtually(body)

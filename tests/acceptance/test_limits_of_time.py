"""When submissions may go, and how long what is at fal is waited for, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.virtual import virtually
from support.world import NOON, World, world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TEN_MINUTES = Settings(seconds=600.0)


@asynccontextmanager
async def beside(going: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let something happen beside the run, and see that it did."""
    task = asyncio.create_task(going)
    yield
    await task


def accepted(here: World) -> list[datetime]:
    return [datetime.fromisoformat(each["at"]) for each in here.ledger()["accepted"]]


def test_nothing_is_submitted_before_its_hour(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=4) as here:
            result = await here.run(not_before=NOON + HOUR, max_duration=10 * MINUTE)
            assert result.exit_code is ExitCode.SUCCEEDED
            assert NOON + HOUR <= min(accepted(here)) < NOON + HOUR + MINUTE

    virtually(body)


def test_what_is_at_fal_is_collected_before_the_hour(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=2, fal_settings=TEN_MINUTES) as here:
            await here.run(limit=1, max_duration=MINUTE, grace=timedelta(0))
            assert here.states() == {"pending": 1, "submitted": 1}
            result = await here.run(not_before=NOON + HOUR, limit=0)
            assert result.exit_code is ExitCode.LIMIT
            assert here.states() == {"pending": 1, "succeeded": 1}
            assert here.clock.now() < NOON + HOUR

    virtually(body)


@pytest.mark.parametrize(
    "limit", [{"max_duration": MINUTE}, {"stop_at": NOON + MINUTE}], ids=["duration", "hour"]
)
def test_what_is_at_fal_when_the_time_is_over_is_still_collected(
    tmp_path: Path, limit: dict[str, Any]
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=4, fal_settings=TEN_MINUTES) as here:
            result = await here.run(concurrency=2, **limit)
            assert result.exit_code is ExitCode.LIMIT
            assert result.ended.limit == "--max-duration or --stop-at"
            assert here.states() == {"pending": 2, "succeeded": 2}
            assert here.clock.now() < NOON + 12 * MINUTE

    virtually(body)


@pytest.mark.parametrize(
    "limit", [{"max_duration": MINUTE}, {"stop_at": NOON + MINUTE}], ids=["duration", "hour"]
)
def test_after_a_grace_it_is_left_to_the_next_run(tmp_path: Path, limit: dict[str, Any]) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=3, fal_settings=TEN_MINUTES) as here:
            result = await here.run(concurrency=2, grace=5 * MINUTE, **limit)
            assert result.exit_code is ExitCode.LIMIT
            assert here.states() == {"pending": 1, "submitted": 2}
            assert NOON + 6 * MINUTE <= here.clock.now() < NOON + 6 * MINUTE + MINUTE / 6
            assert (await here.run()).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 3

    virtually(body)


def test_a_window_that_was_over_before_the_run_still_has_its_grace(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=2, fal_settings=TEN_MINUTES) as here:
            await here.run(limit=1, max_duration=MINUTE, grace=timedelta(0))
            result = await here.run(not_before=NOON - 2 * HOUR, stop_at=NOON - HOUR)
            assert result.exit_code is ExitCode.LIMIT
            assert here.states() == {"pending": 1, "succeeded": 1}

    virtually(body)


def test_a_machine_that_slept_over_the_end_submits_nothing_more(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=4, fal_settings=TEN_MINUTES) as here:

            async def sleeps() -> None:
                await here.until("accepted", count=2)
                here.clock.jump(8 * HOUR.total_seconds())

            async with beside(sleeps()):
                result = await here.run(concurrency=2, stop_at=NOON + HOUR, grace=9 * HOUR)
            assert result.ended.trouble is not None
            assert "asleep" in result.ended.trouble
            assert here.states() == {"pending": 2, "succeeded": 2}
            assert here.ledger()["posts"] == 2

    virtually(body)


def test_a_clock_that_is_set_back_before_the_hour_waits_for_it_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=2) as here:
            waited = here.clock.monotonic()

            async def goes_back() -> None:
                await here.clock.sleep(1800)
                here.clock.jump(-HOUR.total_seconds())

            async with beside(goes_back()):
                result = await here.run(not_before=NOON + HOUR)
            assert result.exit_code is ExitCode.SUCCEEDED
            assert here.clock.monotonic() - waited >= 7200

    virtually(body)

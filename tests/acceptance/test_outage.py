"""Hours of trouble in virtual time: fal is gone, the laptop sleeps, the clock is set."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from support.virtual import seeds, virtually
from support.world import World, world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode

HALF_AN_HOUR = 1800.0
AT_ONCE = 6


def assert_all_bought_once(played: World, rows: int) -> None:
    """Every row has its clip, and fal's ledger knows of nothing more."""
    assert played.states() == {"succeeded": rows}
    ledger = played.ledger()
    assert (ledger["accepted_count"], ledger["duplicate_count"]) == (rows, 0)
    assert played.failures() == Counter({0: rows})
    assert len(list((played.folder / "videos").glob("*.mp4"))) == rows


@pytest.mark.parametrize("seed", seeds(1))
def test_half_an_hour_without_fal_costs_500_rows_nothing_but_the_time(
    tmp_path: Path, seed: int
) -> None:
    settings = Settings(seconds=0.4, slots=AT_ONCE)

    async def body() -> None:
        async with world(tmp_path, rows=500, seed=seed, fal_settings=settings) as played:
            running = asyncio.create_task(played.run(concurrency=AT_ONCE))
            await played.until("accepted", count=200)
            await played.close_fal()
            await asyncio.sleep(HALF_AN_HOUR)
            assert not running.done()
            await played.open_fal()
            result = await running
            assert result.exit_code is ExitCode.SUCCEEDED
            assert_all_bought_once(played, 500)

    virtually(body, seed=seed)


@pytest.mark.parametrize("seed", seeds(2))
def test_a_run_that_begins_without_fal_waits_for_it_and_doubts_nothing(
    tmp_path: Path, seed: int
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=12, seed=seed) as played:
            await played.close_fal()
            running = asyncio.create_task(played.run())
            await asyncio.sleep(HALF_AN_HOUR)
            assert played.states() == {"pending": 12}
            await played.open_fal()
            result = await running
            assert result.exit_code is ExitCode.SUCCEEDED
            assert_all_bought_once(played, 12)

    virtually(body, seed=seed)


@pytest.mark.parametrize("seconds", [3600.0, -300.0], ids=["an hour asleep", "set back"])
@pytest.mark.parametrize("seed", seeds(2))
def test_a_wall_clock_that_jumps_makes_nothing_be_sent_twice(
    tmp_path: Path, seed: int, seconds: float
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=24, seed=seed) as played:
            running = asyncio.create_task(played.run())
            await played.until("started", count=6)
            played.clock.jump(seconds)
            result = await running
            assert result.exit_code is ExitCode.SUCCEEDED
            assert_all_bought_once(played, 24)

    virtually(body, seed=seed)


def test_a_probe_whose_job_was_taken_away_leaves_the_way_to_the_others(tmp_path: Path) -> None:
    """Only a person who writes into the table can do that; the run must not wait for ever."""

    async def body() -> None:
        async with world(tmp_path, rows=10, fal_settings=Settings(seconds=1.0)) as played:
            played.script(
                {"on": "submit", "do": "reply", "at": "arrival", "status": 429, "times": 1}
            )
            running = asyncio.create_task(played.run(concurrency=1))
            while not any("next submission in" in each for each in played.diary.notices):
                await played.clock.sleep(0.01)
            with closing(sqlite3.connect(played.folder / "tweenbatch.db")) as table, table:
                taken = table.execute(
                    "UPDATE jobs SET fence = fence + 1"
                    " WHERE state = 'pending' AND leased_by IS NOT NULL"
                ).rowcount
            assert taken > 0
            assert (await running).exit_code is ExitCode.LIMIT
            assert played.states() == {"pending": taken, "succeeded": 10 - taken}

    virtually(body, within_seconds=3600.0)

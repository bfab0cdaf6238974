"""``pause`` and ``resume``: the table remembers, and a run that is going obeys."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.virtual import virtually
from support.world import world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode

RUN = ("run", "manifest.csv", "--yes", "--concurrency", "1")


@pytest.fixture(autouse=True)
def three_clips(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 3)


def until_told(lines: Iterator[str], words: str) -> None:
    assert any(words in line for line in lines), f"it never said {words!r}"


def test_a_run_that_is_going_waits_until_it_may_go_on(tweenbatch: Command, fal: Server) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        assert run.stderr is not None
        fal.wait_for("accepted")
        assert "tweenbatch resume" in tweenbatch("pause").stdout
        until_told(
            run.stderr, "paused: submitted clips are still collected, and nothing new is submitted"
        )
        fal.script()
        fal.release()
        fal.wait_for("download_finished")
        assert fal.totals()["posts"] == 1
        assert "a waiting run continues" in tweenbatch("resume").stdout
        until_told(run.stderr, "resumed: submissions continue")
        assert run.wait() == 0
    assert fal.totals()["posts"] == 3


def test_submissions_stop_and_go_on_within_seconds(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=20, fal_settings=Settings(seconds=60.0)) as here:

            async def pauses_for_an_hour() -> None:
                await here.until("accepted", count=2)
                here.store.runs.pause(now=here.clock.now())
                await here.clock.sleep(3600)
                here.store.runs.lift_pause(now=here.clock.now())

            pausing = asyncio.create_task(pauses_for_an_hour())
            assert (await here.run(concurrency=2)).exit_code is ExitCode.SUCCEEDED
            await pausing
            accepted = [datetime.fromisoformat(each["at"]) for each in here.ledger()["accepted"]]
            gaps = [later - earlier for earlier, later in pairwise(accepted)]
            long = [gap for gap in gaps if gap > timedelta(minutes=10)]
            assert len(long) == 1
            assert timedelta(minutes=59) < long[0] < timedelta(minutes=60, seconds=10)

    virtually(body)


def test_a_run_that_begins_in_a_pause_collects_and_ends(tweenbatch: Command, fal: Server) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("accepted")
        run.kill()
    tweenbatch("pause")
    fal.script()
    fal.release()
    paused = tweenbatch(*RUN)
    assert paused.returncode == 3
    assert "stopped by tweenbatch pause" in paused.stdout
    assert "next     tweenbatch resume" in paused.stdout
    assert tweenbatch.jobs() == {"pending": 2, "succeeded": 1}
    tweenbatch("resume")
    assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 3


def test_a_pause_is_one_however_often_it_is_asked_for(tweenbatch: Command) -> None:
    assert tweenbatch(*RUN).returncode == 0
    first, second = (tweenbatch("pause", "--json").stdout for _ in range(2))
    assert first == second
    assert tweenbatch("resume", "--json").stdout == '{"lifted": true}\n'
    assert tweenbatch("resume", "--json").stdout == '{"lifted": false}\n'
    assert "there was no pause" in tweenbatch("resume").stdout


def test_status_says_that_the_table_is_paused(tweenbatch: Command) -> None:
    assert tweenbatch(*RUN).returncode == 0
    assert "paused" not in tweenbatch("status").stdout
    tweenbatch("pause")
    assert "paused since" in tweenbatch("status").stdout

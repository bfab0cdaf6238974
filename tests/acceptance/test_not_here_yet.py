"""A paid clip that can't be had now is not lost: laid aside, fetched later, for nothing.

Played in virtual time. The judge is fal's ledger.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.virtual import virtually
from support.world import World, world
from tweenbatch.clips.checker import Checker
from tweenbatch.exit_codes import ExitCode
from tweenbatch.runner.recorder import PARK_CAP_SECONDS, park_pause

ROWS = 3
DAY = 86_400.0


def reply(status: int, body: Any = None) -> dict[str, Any]:
    return {"do": "reply", "status": status, "body": body}


def cut(framing: str, *, after_bytes: int) -> dict[str, Any]:
    return {"do": "truncate", "after_bytes": after_bytes, "framing": framing}


ANSWERS: dict[str, dict[str, Any]] = {
    **{str(status): reply(status, "not yet") for status in (403, 404, 410, 401, 407, 429, 451)},
    **{str(status): reply(status, "not now") for status in (500, 502, 503, 504)},
    "a page": reply(200, "<html>Sign in</html>"),
    "json": reply(200, {"detail": "soon"}),
    "nothing": reply(200, ""),
    **{
        f"too few bytes, {framing}": cut(framing, after_bytes=1000)
        for framing in ("short_length", "chunked", "close")
    },
    **{f"broken off, {framing}": cut(framing, after_bytes=0) for framing in ("length", "reset")},
    "a reset": {"do": "reset"},
    "no answer": {"do": "close"},
    "zeros": {"do": "blank"},
    "zeros at the end": {"do": "blank", "from_share": 0.6},
    "too many bytes": {"do": "endless", "extra_bytes": 100},
}
"""Whatever the file host may answer to every download, for a while."""


def videos(here: World) -> list[str]:
    return sorted(path.name for path in (here.folder / "videos").iterdir())


def all_home(here: World) -> bool:
    named = [f"clip-{number}.mp4" for number in range(1, ROWS + 1)]
    return here.states() == {"succeeded": ROWS} and videos(here) == named


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_the_file_host_answers_for_a_while_loses_no_clip_and_buys_none_again(
    tmp_path: Path, answer: str
) -> None:
    """Bad for the whole first run, and well again in the second one."""

    async def body() -> None:
        async with world(tmp_path, rows=ROWS) as here:
            here.script({"on": "download", **ANSWERS[answer]})
            result = await here.run()
            assert here.states() == {"ready": ROWS}
            assert result.exit_code is ExitCode.LIMIT
            assert videos(here) == []
            here.script()
            assert (await here.run()).exit_code is ExitCode.SUCCEEDED
            assert all_home(here)
            assert here.ledger()["posts"] == ROWS

    virtually(body)


@pytest.mark.parametrize("answer", ["404", "a page", "too few bytes, chunked", "502", "zeros"])
def test_what_passes_within_a_run_is_fetched_by_that_run(tmp_path: Path, answer: str) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=ROWS) as here:
            here.script({"on": "download", **ANSWERS[answer], "times": 5})
            assert (await here.run()).exit_code is ExitCode.SUCCEEDED
            assert all_home(here)
            assert here.ledger()["posts"] == ROWS

    virtually(body)


@pytest.mark.parametrize(("after", "states"), [(23.0, "ready"), (25.0, "failed")])
@pytest.mark.parametrize("answer", ["404", "a page", "zeros"])
def test_a_clip_is_given_up_only_after_a_day_of_tries(
    tmp_path: Path, answer: str, after: float, states: str
) -> None:
    """However long nobody looked before: the first try counts, not the end of the generation."""

    async def body() -> None:
        async with world(tmp_path, rows=1) as here:
            here.script(
                {"on": "generation", "do": "delay", "seconds": 1.0},
                {"on": "download", **ANSWERS[answer]},
            )
            await here.run(settle=0)
            here.clock.jump(after * 3600)
            await here.run(settle=0)
            assert here.states() == {states: 1}
            assert here.ledger()["posts"] == 1
            assert str(here.store.views.money().spent) == "0.56"

    virtually(body)


def test_the_age_of_a_clip_that_nobody_tried_to_fetch_says_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=1) as here:
            here.script({"on": "generation", "do": "hold"})
            await here.run(max_duration=1, grace=1, settle=0)
            assert here.states() == {"submitted": 1}
            assert here.fal is not None
            here.fal.release()
            await here.clock.sleep(60)
            here.clock.jump(7 * DAY)
            here.script({"on": "download", **ANSWERS["404"]})
            await here.run(settle=0)
            assert here.states() == {"ready": 1}

    virtually(body)


def test_a_host_that_does_not_answer_for_days_loses_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=1) as here:
            here.script({"on": "download", "do": "reset"})
            for _ in range(3):
                await here.run(settle=0)
                here.clock.jump(2 * DAY)
            here.script()
            assert (await here.run()).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 1

    virtually(body)


def test_an_undecodable_clip_that_is_given_up_is_kept_under_another_name(tmp_path: Path) -> None:
    """It was paid for, fal may not have it tomorrow, and some player may show a part of it."""

    async def body() -> None:
        async with world(tmp_path, rows=1) as here:
            here.script({"on": "download", **ANSWERS["zeros"]})
            await here.run(settle=0)
            here.clock.jump(2 * DAY)
            await here.run(settle=0)
            [attention] = here.store.views.attention()
            assert attention.error_type == "paid_but_lost"
            assert "kept as clip-1.broken.mp4" in (attention.error_message or "")
            assert videos(here) == ["clip-1.broken.mp4"]

    virtually(body)


def test_clips_that_can_t_be_fetched_stop_the_buying_until_one_comes(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=40) as here:
            here.script({"on": "download", **ANSWERS["404"]})
            result = await here.run(concurrency=2)
            assert result.exit_code is ExitCode.TROUBLE
            assert "none can be downloaded" in (result.ended.trouble or "")
            assert here.ledger()["posts"] <= 5 + 2 * 2
            here.script()
            assert (await here.run()).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 40

    virtually(body)


def test_a_trouble_of_a_minute_ends_no_run(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=40) as here:
            here.script({"on": "download", **ANSWERS["404"], "times": 12})
            assert (await here.run(concurrency=4)).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 40

    virtually(body)


def test_clips_of_earlier_runs_that_can_t_be_fetched_hold_up_nothing_new(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=12) as here:
            here.script({"on": "download", **ANSWERS["404"]})
            await here.run(limit=6, keep_going=True, settle=0)
            soon = here.clock.now() + timedelta(seconds=60)
            await here.run(settle=0, not_before=soon)
            assert here.ledger()["posts"] == 12

    virtually(body)


def test_a_job_that_was_laid_aside_and_is_bought_again_is_waited_for_as_any_other(
    tmp_path: Path,
) -> None:
    """Its new generation takes longer than a run waits for what it has laid aside."""
    first, second = {"on": "generation", "nth": 1}, {"on": "generation", "nth": 2}
    failure = {"do": "fail", "status": 500, "type": "internal_server_error", "retryable": True}

    async def body() -> None:
        async with world(tmp_path, rows=1) as here:
            slowly = {**second, "do": "delay", "seconds": 1200}
            here.script({**first, "do": "hold"}, {**first, **failure}, slowly)
            await here.run(max_duration=1, grace=1, settle=0)
            here.clock.jump(4 * 3600)
            run = asyncio.create_task(here.run(settle=600))
            await here.clock.sleep(20)
            assert "over 3 hours" in here.diary.notices[-1]
            assert here.fal is not None
            here.fal.release()
            assert (await run).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 2

    virtually(body)


def test_a_machine_that_can_check_no_clip_buys_no_more_and_loses_none(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=40) as here:
            with Checker(command=(sys.executable, "-c", "pass")) as broken:
                result = await here.run(checks=broken, concurrency=2)
            assert result.exit_code is ExitCode.TROUBLE
            assert "the decoder does not start" in (result.ended.trouble or "")
            assert here.ledger()["posts"] <= 2 * 2
            assert videos(here) == []
            assert (await here.run()).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 40

    virtually(body)


@pytest.mark.parametrize("n", [0, 3, 1023, 1024, 10**9])
def test_the_pause_of_what_is_laid_aside_is_bounded_however_often_that_was(n: int) -> None:
    assert 0 < park_pause(n).total_seconds() <= PARK_CAP_SECONDS

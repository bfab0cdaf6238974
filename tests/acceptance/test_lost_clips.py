"""A paid clip is looked for wherever it may be before it is called lost (virtual time)."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.virtual import virtually
from support.world import World, world
from tweenbatch.exit_codes import ExitCode
from tweenbatch.records import Frame
from tweenbatch.store.backup import back_up

NO_RESULT = {"on": "result", "do": "reply", "status": 404}
NO_STATUS = {"on": "status", "do": "reply", "status": 404}
NO_LIST = {"on": "history", "do": "omit"}
EXPIRED = {"on": "download", "do": "expire", "times": 1}


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., World]:
    """Play one row under these faults, in virtual time."""

    def played(
        *faults: dict[str, Any], then: Callable[[World], Awaitable[None]] | None = None
    ) -> World:
        async def body() -> World:
            async with world(tmp_path, rows=1) as here:
                here.script(*faults)
                await here.run(settle=3600)
                if then is not None:
                    await then(here)
                assert here.ledger()["posts"] == 1
                return here

        return virtually(body)

    return played


@pytest.mark.parametrize("fault", [NO_RESULT, NO_STATUS])
def test_a_result_that_is_gone_is_read_from_the_history(
    play: Callable[..., World], fault: dict[str, Any]
) -> None:
    async def then(here: World) -> None:
        assert here.states() == {"succeeded": 1}

    play(fault, then=then)


def test_a_clip_that_is_nowhere_any_more_is_lost_with_its_price_and_never_bought_again(
    play: Callable[..., World],
) -> None:
    async def then(here: World) -> None:
        assert here.states() == {"ready": 1}
        here.clock.jump(86_400)
        await here.run()
        assert here.states() == {"failed": 1}
        [attention] = here.store.views.attention()
        assert attention.error_type == "paid_but_lost"
        assert str(here.store.views.money().spent) == "0.56"

    play({**NO_RESULT, "from_nth": 2}, EXPIRED, NO_LIST, then=then)


def test_a_request_that_fal_knows_no_more_is_shown_and_never_sent_again(
    play: Callable[..., World],
) -> None:
    async def then(here: World) -> None:
        assert here.states() == {"uncertain": 1}
        here.script()
        result = await here.run()
        assert result.exit_code is ExitCode.SUCCEEDED

    play(NO_STATUS, NO_LIST, then=then)


def test_an_address_that_expires_is_read_anew(play: Callable[..., World]) -> None:
    async def then(here: World) -> None:
        assert here.states() == {"succeeded": 1}

    play({**EXPIRED, "times": 3}, then=then)


def test_a_request_that_never_ends_is_left_for_later_and_not_bought_again(
    play: Callable[..., World],
) -> None:
    async def then(here: World) -> None:
        assert here.states() == {"submitted": 1}
        assert here.fal is not None
        here.fal.release()
        here.script()
        result = await here.run()
        assert result.exit_code is ExitCode.SUCCEEDED

    play({"on": "generation", "do": "hold"}, then=then)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_request_that_failed_before_the_table_was_restored_is_not_bought_a_third_time(
    tmp_path: Path, trusted: bool
) -> None:
    """The restored table knows the failed request, but not the one that followed it."""
    failed = {"on": "generation", "do": "fail", "status": 500, "type": "internal_server_error"}
    copy = tmp_path / "copy.db"

    async def body() -> None:
        async with world(tmp_path, rows=2) as here:
            here.script({**failed, "times": 2}, {"on": "generation", "do": "hold", "times": 2})
            running = asyncio.create_task(here.run())
            await here.until("status_read", count=2)
            back_up(here.url, copy, replace=False)
            assert here.fal is not None
            here.fal.release()
            assert (await running).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 4
            here.restore(copy)
            assert here.states() == {"submitted": 2}
            assert (await here.run(trust_table=trusted)).exit_code is ExitCode.SUCCEEDED
            assert here.states() == {"succeeded": 2}
            assert here.ledger()["posts"] == 4

    virtually(body)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_submission_that_is_absent_from_a_restored_table_is_not_bought_a_second_time(
    tmp_path: Path, trusted: bool
) -> None:
    """The restored table knows a submission that fal never had, but not the one that followed.

    What followed has other addresses, because its frame was uploaded anew.
    """
    lost = {"on": "submit", "do": "close", "at": "arrival", "times": 2}
    picture = manifests.frame(tmp_path / "frame.png")
    frame = Frame(source=str(picture), sha256=hashlib.sha256(picture.read_bytes()).hexdigest())
    copy = tmp_path / "copy.db"

    async def body() -> None:
        async with world(tmp_path, rows=0) as here:
            here.load(3, start=frame)
            here.script(lost)
            assert (await here.run(concurrency=1)).exit_code is ExitCode.NEEDS_A_PERSON
            back_up(here.url, copy, replace=False)
            for clock in (here.clock, here.fal_clock):
                clock.jump(7 * 86_400)
            # A later clip shows that fal's list is up to date.
            here.load(4, start=frame)
            assert (await here.run()).exit_code is ExitCode.SUCCEEDED
            here.restore(copy)
            here.load(4, start=frame)
            assert here.states() == {"pending": 1, "succeeded": 1, "uncertain": 2}
            assert (await here.run(trust_table=trusted)).exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["accepted_count"] == 4

    virtually(body)


def test_a_status_of_another_request_is_read_again_and_buys_nothing(tmp_path: Path) -> None:
    failed = {"on": "generation", "do": "fail", "status": 500, "type": "internal_server_error"}
    mixed = {"on": "status", "do": "mix_up", "per_request": True, "times": 3}

    async def body() -> None:
        async with world(tmp_path, rows=6) as here:
            here.script({**failed, "prompt_contains": "prompt 1", "times": 1}, mixed)
            assert (await here.run(concurrency=2)).exit_code is ExitCode.SUCCEEDED
            ledger = here.ledger()
            assert (ledger["accepted_count"], here.failures()[1]) == (7, 1)
            assert all(job.kept is not None for job in here.store.jobs.get(range(1, 7)))

    virtually(body)

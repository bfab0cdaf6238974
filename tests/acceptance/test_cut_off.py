"""A cancelled run still records the answer to a submission on its way."""

import asyncio
from pathlib import Path

import pytest

from support.virtual import virtually
from support.world import world


def test_a_run_that_is_cancelled_waits_for_the_answer_to_its_submission(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=1) as here:
            here.script({"on": "submit", "do": "hold", "at": "reply"})
            running = asyncio.create_task(here.run())
            await here.until("held")
            running.cancel()
            ended, _ = await asyncio.wait([running], timeout=30)
            assert not ended, "it waits for the answer, which can still come"
            assert here.fal is not None
            here.fal.release()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert here.states() == {"submitted": 1}
            here.script()
            await here.run()
            assert here.states() == {"succeeded": 1}
            assert here.ledger()["posts"] == 1

    virtually(body)

"""A run that passes midnight: the day's limit opens again by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from support.virtual import virtually
from support.world import world
from support.zones import local_zone
from tweenbatch.emulator.settings import Settings

LATE = datetime(2026, 3, 28, 22, 59, 30, tzinfo=UTC)
"""Half a minute before midnight in Berlin."""


@pytest.fixture
def berlin() -> Iterator[None]:
    with local_zone("Europe/Berlin"):
        yield


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("seconds", "code", "posts"),
    [(60.0, 0, 2), (20.0, 3, 1)],
    ids=["midnight", "not quite midnight"],
)
def test_a_new_day_lets_a_run_that_still_collects_submit_again(
    tmp_path: Path, seconds: float, code: int, posts: int
) -> None:
    async def body() -> None:
        settings = Settings(seconds=seconds)
        async with world(tmp_path, rows=2, start=LATE, fal_settings=settings) as played:
            result = await played.run(max_cost_per_day=Decimal("0.56"))
            assert (result.exit_code, played.ledger()["accepted_count"]) == (code, posts)
            assert result.ended.limit == ("--max-cost-per-day" if code else None)

    virtually(body)

"""The units that fal bills count; a dearer price stops the run unless a person agreed."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.virtual import virtually
from support.world import world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode
from tweenbatch.runner.price_watch import PriceAgreement

TWICE = {"on": "generation", "do": "charge"}


def played(tmp_path: Path, *faults: dict[str, Any], **options: Any) -> tuple[Any, ...]:
    """Return how a run of 12 clips ended: result, fal's ledger, the table's money, the notices."""
    ended: list[Any] = []

    async def body() -> None:
        settings = Settings(seconds=60.0, slots=2)
        async with world(tmp_path, rows=12, fal_settings=settings) as fal:
            fal.script(*faults)
            result = await asyncio.create_task(fal.run(concurrency=2, **options))
            notices = [each for each in fal.diary.notices if "fal billed" in each]
            ended.append((result, fal.ledger(), fal.store.views.money().spent, notices))

    virtually(body)
    return tuple(ended[0])


@pytest.mark.parametrize("times", ["1.25", "2", "10"])
def test_a_clip_that_fal_bills_dearer_counts_so_and_stops_the_buying(
    tmp_path: Path, times: str
) -> None:
    result, ledger, spent, notices = played(tmp_path, {**TWICE, "times_usual": times})
    assert result.exit_code is ExitCode.TROUBLE
    assert ledger["posts"] <= 4, "those that were at fal when the first bill came"
    assert spent == Decimal(str(ledger["billed_usd"]))
    [notice] = notices
    assert f"fal billed {5 * Decimal(times):f} units".replace(".00", "") in notice
    assert "--accept-price" in notice


def test_who_accepted_rising_prices_is_told_once_and_the_limit_sees_the_dearer_sum(
    tmp_path: Path,
) -> None:
    agreed = PriceAgreement(rises=True)
    result, ledger, spent, notices = played(
        tmp_path, TWICE, agreement=agreed, max_cost=Decimal("5.60")
    )
    assert result.exit_code is ExitCode.LIMIT
    assert (ledger["posts"], spent) == (5, Decimal("5.60"))
    assert len(notices) == 1


def test_fewer_units_than_were_reserved_say_nothing(tmp_path: Path) -> None:
    result, ledger, spent, notices = played(tmp_path, {**TWICE, "times_usual": "0.5"})
    assert result.exit_code is ExitCode.SUCCEEDED
    assert (ledger["posts"], spent, notices) == (12, Decimal("6.72"), [])

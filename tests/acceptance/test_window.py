"""How many requests are at fal, and how often they are looked at, with fal's ledger as judge."""

from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from support.virtual import virtually
from support.world import World, world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode


def played(folder: Path, rows: int, settings: Settings, **options: Any) -> dict[str, Any]:
    """Run so many rows in virtual time and return fal's ledger."""

    async def body() -> dict[str, Any]:
        async with world(folder, rows=rows, fal_settings=settings) as here:
            result = await here.run(**options)
            assert result.exit_code is ExitCode.SUCCEEDED
            return {**here.ledger(), "seen_done": seen_done(here)}

    return virtually(body)


def seen_done(here: World) -> dict[str, datetime]:
    """When each result was read, which follows the look that found it."""
    assert here.fal is not None
    return {
        event["request_id"]: datetime.fromisoformat(event["at"])
        for event in here.fal.events()
        if event["event"] == "result_read"
    }


def busy(ledger: dict[str, Any]) -> float:
    first, last = (
        datetime.fromisoformat(ledger[name]) for name in ("first_started_at", "last_ended_at")
    )
    offered: float = ledger["slots"] * (last - first).total_seconds()
    return float(ledger["busy_slot_seconds"]) / offered


def most_waiting(ledger: dict[str, Any]) -> int:
    """Return how many requests waited in fal's queue at one time in the later half of the run."""
    spans = [(each["at"], each["started_at"]) for each in ledger["accepted"]]
    later = spans[len(spans) // 2 :]
    return int(max(sum(at <= now < started for at, started in spans) for now, _ in later))


def late(ledger: dict[str, Any]) -> list[float]:
    """Return the delay of each end's detection as a share of the request's time, in order."""
    shares = []
    for each in ledger["accepted"]:
        accepted, ended = (datetime.fromisoformat(each[name]) for name in ("at", "ended_at"))
        delay = (ledger["seen_done"][each["request_id"]] - ended).total_seconds()
        shares.append(delay / (ended - accepted).total_seconds())
    return shares


def requests_each(ledger: dict[str, Any]) -> float:
    return float(sum(ledger["requests"].values()) / len(ledger["accepted"]))


def most_requests(ledger: dict[str, Any]) -> int:
    """Return how many went out for the job with the most: POST, looks, result and download."""
    return max(2 + int(each["status_reads"] + each["result_reads"]) for each in ledger["accepted"])


@pytest.mark.parametrize("slots", [2, 10, 40])
def test_the_slots_of_any_account_are_kept_busy_with_a_short_queue(
    tmp_path: Path, slots: int
) -> None:
    ledger = played(tmp_path, slots * 12, Settings(seconds=20.0, slots=slots))
    assert ledger["most_in_progress"] == slots
    assert busy(ledger) >= 0.97
    assert 1 <= most_waiting(ledger) <= max(8, slots // 3)


def test_no_more_money_is_in_flight_than_allowed(tmp_path: Path) -> None:
    ledger = played(tmp_path, 60, Settings(seconds=20.0, slots=40), max_in_flight=11)
    assert ledger["most_in_progress"] == 11


def test_a_number_is_kept_exactly(tmp_path: Path) -> None:
    ledger = played(tmp_path, 60, Settings(seconds=20.0, slots=40), concurrency=7)
    assert ledger["most_in_progress"] == 7


@pytest.mark.parametrize(
    ("seconds", "rows", "slots", "most"), [(3.0, 400, 40, 5.2), (120.0, 60, 10, 7.5)]
)
def test_few_requests_tell_soon_that_a_clip_is_done(
    tmp_path: Path, seconds: float, rows: int, slots: int, most: float
) -> None:
    ledger = played(tmp_path, rows, Settings(seconds=seconds, slots=slots))
    assert requests_each(ledger) <= most
    second_wave = late(ledger)[slots:]
    assert mean(second_wave) <= 0.02


def test_few_are_enough_as_well_where_more_were_asked_for_than_fal_runs(tmp_path: Path) -> None:
    ledger = played(tmp_path, 120, Settings(seconds=20.0, slots=10), concurrency=14)
    assert requests_each(ledger) <= 6.0
    assert mean(late(ledger)[10:]) <= 0.02


@pytest.mark.parametrize(("rows", "slots"), [(1, 10), (8, 2), (100, 40)])
def test_no_clip_of_two_minutes_takes_many_requests(tmp_path: Path, rows: int, slots: int) -> None:
    ledger = played(tmp_path, rows, Settings(seconds=120.0, slots=slots))
    assert most_requests(ledger) <= 15


def test_the_next_submission_waits_for_neither_result_nor_download(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=2, fal_settings=Settings(seconds=5.0)) as here:
            here.script(
                {"on": "result", "do": "delay", "seconds": 30},
                {"on": "download", "do": "delay", "seconds": 30},
            )
            assert (await here.run(concurrency=1)).exit_code is ExitCode.SUCCEEDED
            first, second = (datetime.fromisoformat(a["at"]) for a in here.ledger()["accepted"])
            assert (second - first).total_seconds() < 10

    virtually(body)


@pytest.mark.parametrize(
    ("takes_seconds", "read_first"),
    [
        pytest.param(0.2, False, id="a result gives way"),
        pytest.param(5.0, True, id="and not for long"),
    ],
)
def test_a_submission_that_fills_a_slot_goes_before_a_result(
    tmp_path: Path, takes_seconds: float, read_first: bool
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=3, fal_settings=Settings(seconds=5.0)) as here:
            here.script({"on": "submit", "do": "delay", "seconds": takes_seconds})
            assert (await here.run(concurrency=1)).exit_code is ExitCode.SUCCEEDED
            # How long the first takes is news that is not kept back.
            _, second, third = here.ledger()["accepted"]
            accepted = datetime.fromisoformat(third["at"])
            assert (seen_done(here)[second["request_id"]] < accepted) == read_first

    virtually(body)

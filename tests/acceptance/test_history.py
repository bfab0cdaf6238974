"""However late, empty, closed or broken fal's history is, nothing is paid twice (virtual time).

``TWEENBATCH_TEST_SEEDS=5000`` plays so many worlds, ``TWEENBATCH_TEST_SEED=7`` world 7 alone.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.virtual import seeds, virtually
from support.world import World, world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode

FIRST_NIGHT = 5
EACH_NIGHT = 1
NIGHTS = 3
NIGHT_SECONDS = 24 * 3600.0
SETTLE = timedelta(minutes=20)

NEVER_ACCEPTED: list[dict[str, Any]] = [
    {"do": "reset", "at": "arrival"},
    {"do": "reply", "at": "arrival", "status": 503},
    {"do": "hang", "at": "arrival"},
]
ACCEPTED: list[dict[str, Any]] = [
    {"do": "reset", "at": "reply"},
    {"do": "half"},
    {"do": "reply", "at": "reply", "status": 502},
    {"do": "hang", "at": "reply"},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How the history fares; ``heals`` before the last night, or stays as it is."""

    faults: Callable[[random.Random], list[dict[str, Any]]]
    heals: bool
    settles: bool
    """Whether all must be settled in the end."""


def _reply(status: int) -> Callable[[random.Random], list[dict[str, Any]]]:
    return lambda _: [{"on": "history", "do": "reply", "status": status}]


def _lag(dice: random.Random) -> list[dict[str, Any]]:
    return [{"on": "history", "do": "lag", "seconds": dice.uniform(30, 6 * 3600)}]


HISTORIES = {
    "well": History(faults=lambda _: [], heals=False, settles=True),
    "late": History(faults=_lag, heals=False, settles=True),
    "late, then well": History(faults=_lag, heals=True, settles=True),
    "slow": History(
        faults=lambda _: [{"on": "history", "do": "delay", "seconds": 25}],
        heals=False,
        settles=True,
    ),
    "empty": History(
        faults=lambda _: [{"on": "history", "do": "omit"}], heals=False, settles=False
    ),
    "empty, then well": History(
        faults=lambda _: [{"on": "history", "do": "omit"}], heals=True, settles=True
    ),
    "forbidden": History(faults=_reply(403), heals=False, settles=False),
    "forbidden, then well": History(faults=_reply(403), heals=True, settles=True),
    "missing": History(faults=_reply(404), heals=False, settles=False),
    "broken": History(faults=_reply(500), heals=False, settles=False),
    "cut in half": History(
        faults=lambda _: [{"on": "history", "do": "half", "probability": 0.5}],
        heals=False,
        settles=False,
    ),
}


def lost_submissions(dice: random.Random) -> list[dict[str, Any]]:
    """Between one and four of the first night's submissions, some accepted and some not."""
    return [
        {"on": "submit", "nth": nth, **dice.choice(dice.choice([NEVER_ACCEPTED, ACCEPTED]))}
        for nth in sorted(dice.sample(range(1, FIRST_NIGHT + 1), dice.randint(1, 4)))
    ]


def judge(here: World, exit_code: ExitCode) -> None:
    """Nothing is paid twice, nothing is lost, and what is not known is shown with its price."""
    ledger, states, money = here.ledger(), here.states(), here.store.views.money()
    assert ledger["duplicate_count"] == 0, ledger["duplicates"]
    assert set(states) <= {"succeeded", "uncertain"}
    doubts = states.get("uncertain", 0)
    assert states.get("succeeded", 0) <= ledger["accepted_count"] <= sum(states.values())
    assert exit_code is (ExitCode.NEEDS_A_PERSON if doubts else ExitCode.SUCCEEDED)
    assert float(money.uncertain) == pytest.approx(0.56 * doubts)
    assert [a.state.value for a in here.store.views.attention()] == ["uncertain"] * doubts


async def nights(folder: Path, seed: int) -> None:
    dice = random.Random(seed)
    name = dice.choice(sorted(HISTORIES))
    history = HISTORIES[name]
    bad = history.faults(dice)
    fal_settings = Settings(seconds=dice.choice([2.0, 20.0]), slots=dice.choice([1, 4]))
    skew = dice.choice([-300.0, 0.0, 300.0])
    async with world(
        folder, rows=FIRST_NIGHT, seed=seed, fal_skew=skew, fal_settings=fal_settings
    ) as here:
        here.script(*lost_submissions(dice), *bad)
        for night in range(NIGHTS):
            if night:
                await asyncio.sleep(NIGHT_SECONDS)
                here.script(*(bad if not history.heals or night < NIGHTS - 1 else []))
                here.load(FIRST_NIGHT + night * EACH_NIGHT)
            result = await here.run(settle=SETTLE, concurrency=2)
            judge(here, result.exit_code)
        if history.settles:
            states = here.states()
            assert states == {"succeeded": sum(states.values())}, name
            assert here.ledger()["accepted_count"] == sum(states.values())


@pytest.mark.parametrize("seed", seeds(200))
def test_nothing_is_paid_twice_whatever_the_history_says(tmp_path: Path, seed: int) -> None:
    virtually(partial(nights, tmp_path, seed), seed=seed, within_seconds=30 * 24 * 3600)


def play_one_doubt(folder: Path, *faults: dict[str, Any]) -> dict[str, Any]:
    """Let the second of sixteen submissions be doubtful, one a minute; return fal's ledger."""

    async def body() -> dict[str, Any]:
        fal_settings = Settings(seconds=60.0)
        async with world(folder, rows=16, fal_settings=fal_settings) as here:
            here.script(*faults)
            result = await here.run(concurrency=1, absent_after=timedelta(minutes=10))
            assert result.exit_code is ExitCode.SUCCEEDED
            return here.ledger()

    return virtually(body)


def test_what_fal_never_had_is_proven_absent_within_the_run_and_sent_again(tmp_path: Path) -> None:
    ledger = play_one_doubt(tmp_path, {"on": "submit", "do": "reset", "at": "arrival", "nth": 2})
    assert (ledger["posts"], ledger["accepted_count"]) == (17, 16)


def test_one_list_that_lacks_a_request_is_not_believed(tmp_path: Path) -> None:
    """It is listed between the first list that could prove its absence and the one after that."""
    ledger = play_one_doubt(
        tmp_path,
        {"on": "submit", "do": "reset", "at": "reply", "nth": 2},
        {"on": "history", "do": "lag", "seconds": 660, "prompt_contains": "prompt 2"},
    )
    assert (ledger["posts"], ledger["duplicate_count"]) == (16, 0)


LONG = 16 * 60.0
SHORT = 36.0


@pytest.mark.parametrize(
    ("longer", "ahead"),
    [(LONG, 0.0), (LONG, 5 * 3600.0), (3 * 3600.0, -5 * 3600.0), (14 * 3600.0, 26 * 3600.0)],
)
def test_one_that_takes_long_is_not_taken_for_absent_though_all_others_are_quick(
    tmp_path: Path, longer: float, ahead: float
) -> None:
    """Its reply is lost, and our clock is hours off; that is mended in the middle of the run."""

    async def body() -> None:
        fal_settings = Settings(seconds=SHORT, slots=2)
        async with world(tmp_path, rows=40, fal_skew=-ahead, fal_settings=fal_settings) as here:
            here.script(
                {"on": "submit", "do": "reset", "at": "reply", "nth": 2},
                {
                    "on": "generation",
                    "do": "delay",
                    "seconds": longer - SHORT,
                    "prompt_contains": "prompt 2",
                    "times": 1,
                },
            )
            asyncio.get_running_loop().call_later(600.0, here.clock.jump, -ahead)
            await here.run(concurrency=2)
            assert here.ledger()["posts"] == 40
            await asyncio.sleep(longer)
            here.load(41)
            result = await here.run(concurrency=2)
            assert result.exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 41
            assert here.ledger()["duplicate_count"] == 0

    virtually(body, within_seconds=4 * 24 * 3600)


@pytest.mark.parametrize("do", [{"do": "hang"}, {"do": "drip", "seconds": 10}])
def test_a_list_that_never_ends_keeps_a_run_waiting_for_a_minute(
    tmp_path: Path, do: dict[str, Any]
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=1) as here:
            here.script({"on": "history", **do})
            began = asyncio.get_running_loop().time()
            result = await here.run()
            assert result.exit_code is ExitCode.SUCCEEDED
            assert asyncio.get_running_loop().time() - began < 90.0
            assert "fal's list of past requests can't be read" in "".join(here.diary.notices)

    virtually(body)


def test_the_limit_of_a_day_holds_where_the_clocks_are_hours_apart(tmp_path: Path) -> None:
    """By our clock a day has just begun, by fal's, which dates submissions, it has not."""

    async def body() -> None:
        start = datetime.now().astimezone().replace(hour=2, minute=0).astimezone(UTC)
        async with world(tmp_path, rows=5, start=start, fal_skew=-5 * 3600.0) as here:
            for _ in range(2):
                result = await here.run(max_cost_per_day=Decimal("1.12"))
                assert result.exit_code is ExitCode.LIMIT
                assert here.ledger()["posts"] == 2

    virtually(body)


@pytest.mark.parametrize("ahead", [7 * 3600.0, -7 * 3600.0])
def test_a_request_is_found_by_fal_s_clock_whatever_ours_says(tmp_path: Path, ahead: float) -> None:
    """It is the only one, so that no other tells how far the clocks are apart."""

    async def body() -> None:
        async with world(tmp_path, rows=1, fal_skew=-ahead) as here:
            here.script({"on": "submit", "do": "reset", "at": "reply"})
            asyncio.get_running_loop().call_later(1.0, here.clock.jump, -ahead)
            # By the clock that jumps, the first run has waited long enough for it.
            await here.run()
            result = await here.run()
            assert result.exit_code is ExitCode.SUCCEEDED
            assert here.ledger()["posts"] == 1

    virtually(body)

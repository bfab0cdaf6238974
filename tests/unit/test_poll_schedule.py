"""One schedule for all polls, in virtual time."""

import asyncio
import random
from datetime import UTC, datetime

from support.virtual import VirtualClock, virtually
from tweenbatch.stages.poll_schedule import PollScheduler
from tweenbatch.stages.poll_timing import PollTiming


def schedule() -> PollScheduler:
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    return PollScheduler(clock=clock, timing=PollTiming(random.Random(1)))


async def seen_at(polls: PollScheduler, seconds: float, seen: list[tuple[float, float]]) -> None:
    await polls.wait_until(lambda: seconds)
    seen.append((seconds, polls.clock.monotonic()))


def test_polls_run_when_they_are_due_in_whatever_order_they_were_added() -> None:
    async def body() -> list[tuple[float, float]]:
        polls, seen = schedule(), list[tuple[float, float]]()
        begun = polls.clock.monotonic()
        times = [begun + wait for wait in (5.0, 1.0, 3.0, -2.0, 1.0)]
        await asyncio.gather(*(seen_at(polls, at, seen) for at in times))
        return [(due - begun, at - begun) for due, at in seen]

    polled = virtually(body)
    assert [round(due) for due, _ in polled] == [-2, 1, 1, 3, 5]
    assert all(abs(at - max(0.0, due)) < 1e-6 for due, at in polled)


def test_a_cancelled_poll_delays_no_other() -> None:
    async def body() -> float:
        polls, seen = schedule(), list[tuple[float, float]]()
        begun = polls.clock.monotonic()
        first = asyncio.create_task(seen_at(polls, begun + 1.0, seen))
        second = asyncio.create_task(seen_at(polls, begun + 2.0, seen))
        await asyncio.sleep(0.5)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await second
        assert len(seen) == 1
        return polls.clock.monotonic() - begun

    assert abs(virtually(body) - 2.0) < 1e-6


def test_rescheduling_moves_waiting_polls() -> None:
    async def body() -> float:
        polls = schedule()
        begun = polls.clock.monotonic()
        due = begun + 100.0
        waiting = asyncio.create_task(polls.wait_until(lambda: due))
        await asyncio.sleep(1.0)
        due = begun + 4.0
        polls.reschedule()
        await waiting
        return polls.clock.monotonic() - begun

    assert abs(virtually(body) - 4.0) < 1e-6

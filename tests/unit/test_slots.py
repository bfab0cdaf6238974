"""Who gets a slot, in which order, and who is sent away."""

import asyncio
import random
from dataclasses import dataclass, field

from tweenbatch.runner.throttle.adaptive_limit import AdaptiveLimit
from tweenbatch.runner.throttle.gate import SubmissionGate
from tweenbatch.runner.throttle.slots import MOST_AHEAD, Slots


@dataclass
class Door:
    """Slots whose lane and end are in the test's hands."""

    at: float = 0.0
    over: bool = False
    slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        lane = SubmissionGate(monotonic=lambda: self.at, rng=random.Random(1))
        window = AdaptiveLimit(most=48, fixed=2)
        self.slots = Slots(limit=window, gate=lane, no_more_submissions=lambda _: self.over)

    async def stand(self, number: int) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self.slots.acquire(number))
        await asyncio.sleep(0)
        return task


async def settled(*tasks: "asyncio.Task[bool]") -> list[bool | None]:
    """Let everybody go who may; return what each was told, None for those that still stand."""
    for _ in range(3):
        await asyncio.sleep(0)
    return [task.result() if task.done() else None for task in tasks]


async def test_slots_go_to_those_who_stood_first_and_on_to_the_next_when_they_are_left() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3, 4)]
    assert await settled(*tasks) == [True, True, None, None]
    door.slots.release(1)
    assert await settled(*tasks) == [True, True, True, None]
    door.slots.release(1)
    assert await settled(*tasks) == [True, True, True, None]
    door.slots.release(2)
    assert await settled(*tasks) == [True, True, True, True]


async def test_whoever_leaves_the_line_is_passed_over_and_takes_no_slot() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3, 4)]
    tasks[2].cancel()
    await asyncio.gather(tasks[2], return_exceptions=True)
    door.slots.release(1)
    assert await settled(tasks[3]) == [True]
    assert door.slots.taken == {2, 4}


async def test_when_the_last_one_leaves_nobody_stands_in_line() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3)]
    assert door.slots.in_line
    tasks[2].cancel()
    await asyncio.gather(tasks[2], return_exceptions=True)
    assert not door.slots.in_line


async def test_a_slot_that_becomes_free_as_one_leaves_the_line_goes_to_the_next() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3, 4)]
    tasks[2].cancel()
    door.slots.release(1)
    assert await settled(tasks[3]) == [True]
    assert tasks[2].cancelled()


async def test_after_a_pause_one_goes_ahead_and_the_others_follow_once_it_got_through() -> None:
    door = Door()
    pause = door.slots.gate.trouble("fal is out of order")
    tasks = [await door.stand(number) for number in (1, 2)]
    assert await settled(*tasks) == [None, None]
    door.at += pause
    door.slots.admit()
    assert await settled(*tasks) == [True, None]
    door.slots.gate.got_through()
    door.slots.admit()
    assert await settled(*tasks) == [True, True]


async def test_where_nothing_goes_any_more_all_are_sent_away_without_a_slot() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3)]
    door.over = True
    door.slots.admit()
    assert await settled(*tasks) == [True, True, False]
    assert door.slots.taken == {1, 2}


def test_a_bounded_number_is_made_ready_ahead() -> None:
    door = Door()
    assert door.slots.room(preparing=0) == 4
    assert door.slots.room(preparing=4) == 0
    many = Slots(limit=AdaptiveLimit(most=500, fixed=500), gate=door.slots.gate)
    many.taken = set(range(500))
    assert many.room(preparing=0) == MOST_AHEAD
    many.ahead = False
    assert many.room(preparing=0) == 0


def test_jobs_are_made_ready_by_the_handful_while_all_slots_are_taken() -> None:
    slots = Slots(limit=AdaptiveLimit(most=40, fixed=40), gate=Door().slots.gate)
    slots.taken = set(range(40))
    assert slots.room(preparing=MOST_AHEAD // 2 + 1) == 0
    assert slots.room(preparing=MOST_AHEAD // 2) == MOST_AHEAD // 2


def test_a_closed_lane_makes_no_room_though_slots_are_free() -> None:
    door = Door()
    door.slots.gate.close("the key was refused")
    assert door.slots.room(preparing=0) == 0
    assert not door.slots.free
    assert not door.slots.full(preparing=0)

"""Who gets a slot, in which order, and who is sent away."""

import asyncio
import random
from dataclasses import dataclass, field

from tweenbatch.runner.throttle.adaptive_limit import AdaptiveLimit
from tweenbatch.runner.throttle.gate import SubmissionGate
from tweenbatch.runner.throttle.slots import MAX_PREPARED_AHEAD, Slots


@dataclass
class Door:
    """Slots with a gate that the test controls."""

    at: float = 0.0
    over: bool = False
    slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        gate = SubmissionGate(monotonic=lambda: self.at, rng=random.Random(1))
        limit = AdaptiveLimit(most=48, fixed=2)
        self.slots = Slots(limit=limit, gate=gate, no_more_submissions=lambda _: self.over)

    async def stand(self, number: int) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self.slots.acquire(number))
        await asyncio.sleep(0)
        return task


async def settled(*tasks: "asyncio.Task[bool]") -> list[bool | None]:
    """Return the result of each task, None for those that still wait in line."""
    for _ in range(3):
        await asyncio.sleep(0)
    return [task.result() if task.done() else None for task in tasks]


async def test_slots_go_to_the_first_in_line_and_on_to_the_next_when_released() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3, 4)]
    assert await settled(*tasks) == [True, True, None, None]
    door.slots.release(1)
    assert await settled(*tasks) == [True, True, True, None]
    door.slots.release(1)
    assert await settled(*tasks) == [True, True, True, None]
    door.slots.release(2)
    assert await settled(*tasks) == [True, True, True, True]


async def test_a_job_that_leaves_the_line_takes_no_slot() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3, 4)]
    tasks[2].cancel()
    await asyncio.gather(tasks[2], return_exceptions=True)
    door.slots.release(1)
    assert await settled(tasks[3]) == [True]
    assert door.slots.holders == {2, 4}


async def test_the_line_is_empty_when_its_last_job_leaves() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3)]
    assert door.slots.in_line
    tasks[2].cancel()
    await asyncio.gather(tasks[2], return_exceptions=True)
    assert not door.slots.in_line


async def test_a_slot_released_as_a_job_leaves_the_line_goes_to_the_next() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3, 4)]
    tasks[2].cancel()
    door.slots.release(1)
    assert await settled(tasks[3]) == [True]
    assert tasks[2].cancelled()


async def test_after_a_pause_one_job_starts_and_the_others_follow_when_it_succeeds() -> None:
    door = Door()
    pause = door.slots.gate.pause("fal is out of order")
    tasks = [await door.stand(number) for number in (1, 2)]
    assert await settled(*tasks) == [None, None]
    door.at += pause
    door.slots.admit()
    assert await settled(*tasks) == [True, None]
    door.slots.gate.got_through()
    door.slots.admit()
    assert await settled(*tasks) == [True, True]


async def test_the_line_is_emptied_when_nothing_more_is_submitted() -> None:
    door = Door()
    tasks = [await door.stand(number) for number in (1, 2, 3)]
    door.over = True
    door.slots.admit()
    assert await settled(*tasks) == [True, True, False]
    assert door.slots.holders == {1, 2}


def test_a_bounded_number_of_jobs_is_prepared_ahead() -> None:
    door = Door()
    assert door.slots.allowance(preparing=0) == 4
    assert door.slots.allowance(preparing=4) == 0
    many = Slots(limit=AdaptiveLimit(most=500, fixed=500), gate=door.slots.gate)
    many.holders = set(range(500))
    assert many.allowance(preparing=0) == MAX_PREPARED_AHEAD
    many.prepares_ahead = False
    assert many.allowance(preparing=0) == 0


def test_jobs_are_prepared_in_batches_while_all_slots_are_held() -> None:
    slots = Slots(limit=AdaptiveLimit(most=40, fixed=40), gate=Door().slots.gate)
    slots.holders = set(range(40))
    assert slots.allowance(preparing=MAX_PREPARED_AHEAD // 2 + 1) == 0
    assert slots.allowance(preparing=MAX_PREPARED_AHEAD // 2) == MAX_PREPARED_AHEAD // 2


def test_a_closed_gate_allows_nothing_though_slots_are_free() -> None:
    door = Door()
    door.slots.gate.close("the key was refused")
    assert door.slots.allowance(preparing=0) == 0
    assert not door.slots.free
    assert not door.slots.full(preparing=0)

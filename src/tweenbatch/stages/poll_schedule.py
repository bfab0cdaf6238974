"""One schedule for the polls of all requests, the earliest first.

It does not limit how many polls run at one time: ``fal.transport`` does, in this order.
"""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from tweenbatch.clock import Clock
from tweenbatch.stages.poll_timing import PollTiming


@dataclass(slots=True, eq=False)
class _Entry:
    at: float
    number: int
    when: Callable[[], float]
    done: asyncio.Future[None]

    def __lt__(self, other: "_Entry") -> bool:
        return (self.at, self.number) < (other.at, other.number)


@dataclass(slots=True, kw_only=True)
class PollScheduler:
    """Wakes each caller when its poll is due."""

    clock: Clock
    timing: PollTiming
    _heap: list[_Entry] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)
    _alarm: asyncio.Task[None] | None = None
    _alarm_at: float = float("inf")

    async def wait_until(self, when: Callable[[], float]) -> None:
        """Return at the time (``Clock.monotonic``) of ``when``; ``reschedule`` calls it again."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, _Entry(when(), next(self._numbers), when, done))
        self._release_due()
        await done

    def reschedule(self) -> None:
        """Read the due times of all waiting polls again, because they have changed."""
        for entry in self._heap:
            entry.at = entry.when()
        heapq.heapify(self._heap)
        self._release_due()

    def _release_due(self) -> None:
        """Wake the polls that are due, and set the alarm for the next one."""
        now = self.clock.monotonic()
        while self._heap and self._heap[0].at <= now:
            done = heapq.heappop(self._heap).done
            if not done.cancelled():
                done.set_result(None)
        if self._alarm is not None and not (self._heap and self._alarm_at <= self._heap[0].at):
            self._alarm.cancel()
            self._alarm = None
        if self._heap and self._alarm is None:
            self._alarm_at = self._heap[0].at
            self._alarm = asyncio.create_task(self._ring(self._alarm_at - now), name="polls")

    async def _ring(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self._alarm = None
        self._release_due()

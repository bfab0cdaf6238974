"""The slots of a run: jobs wait in line for one and are submitted when they have it.

A slot is free when the limit and the gate allow it. This module knows only job numbers.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tweenbatch.runner.throttle.adaptive_limit import AdaptiveLimit
from tweenbatch.runner.throttle.gate import SubmissionGate

MAX_PREPARED_AHEAD = 16
"""The most jobs whose frames are uploaded while they wait for a slot."""


@dataclass(slots=True, kw_only=True)
class Slots:
    """A fair semaphore: the slots that are held, and the line of jobs that wait for one."""

    limit: AdaptiveLimit
    gate: SubmissionGate
    prepares_ahead: bool = True
    """Whether frames are uploaded before their job has a slot."""
    no_more_submissions: Callable[[int], bool] = lambda _: False
    """Tells whether this job should leave the line, because it can't be submitted now."""
    holders: set[int] = field(default_factory=set)
    """Jobs that hold a slot: being submitted, or in progress at fal."""
    _line: dict[int, asyncio.Future[bool]] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Tell whether a submission may start now."""
        return len(self.holders) < self.limit.width and self.gate.allowance() != 0

    @property
    def in_line(self) -> bool:
        """Tell whether a job waits for a slot."""
        return bool(self._line)

    def allowance(self, *, preparing: int) -> int:
        """Return how many more jobs may be prepared, besides the ``preparing`` ones."""
        capacity = self._capacity(preparing)
        gate = self.gate.allowance()
        return capacity if gate is None else max(0, min(capacity, gate - preparing))

    def full(self, *, preparing: int) -> bool:
        """Tell whether no job may be prepared until a slot is released."""
        return not self._capacity(preparing)

    async def acquire(self, number: int) -> bool:
        """Wait in line; return True with a slot, or False if nothing more is submitted."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._line[number] = future
        self.admit()
        try:
            return await future
        finally:
            self._line.pop(number, None)

    def admit(self) -> None:
        """Give the free slots to the first in line; empty the line if nothing may be submitted."""
        while self._line:
            number = next(iter(self._line))
            refused = self.no_more_submissions(number)
            if not refused and not self.free:
                return
            future = self._line.pop(number)
            if future.done():
                continue
            if not refused:
                self.holders.add(number)
                self.gate.started()
            future.set_result(not refused)

    def release(self, number: int) -> None:
        """Give the slot of a job, if it holds one, to the next in line."""
        self.limit.ended(number, now=self.gate.monotonic())
        self.holders.discard(number)
        self.admit()

    def _capacity(self, preparing: int) -> int:
        """Return how many more jobs may be prepared, whatever the gate allows."""
        ahead = min(self.limit.width, MAX_PREPARED_AHEAD) if self.prepares_ahead else 0
        if preparing > ahead // 2 and len(self.holders) + preparing >= self.limit.width:
            return 0  # claim jobs in batches, not one by one
        return max(0, self.limit.width + ahead - len(self.holders) - preparing)

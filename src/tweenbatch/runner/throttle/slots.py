"""The line before fal: whoever is ready to be submitted gets a slot once there is one.

It puts the window and the lane together. It knows jobs by their numbers, and neither what it
takes to make them ready nor what becomes of them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tweenbatch.runner.throttle.adaptive_limit import AdaptiveLimit
from tweenbatch.runner.throttle.gate import SubmissionGate

MOST_AHEAD = 16
"""Jobs that are made ready while all slots are taken: their frames are at fal by then."""


@dataclass(slots=True, kw_only=True)
class Slots:
    """Who holds a slot, who stands in line for one, and how many more may be made ready."""

    limit: AdaptiveLimit
    gate: SubmissionGate
    ahead: bool = True
    """Whether frames go to fal before there is a slot for their job."""
    no_more_submissions: Callable[[int], bool] = lambda _: False
    """Tells that a job is not to be submitted any more, as far as can be seen now."""
    taken: set[int] = field(default_factory=set)
    """Jobs that are at fal, or on their way there."""
    _line: dict[int, asyncio.Future[bool]] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Tell whether a submission may go now."""
        return len(self.taken) < self.limit.width and self.gate.room() != 0

    @property
    def in_line(self) -> bool:
        """Tell whether somebody waits for a slot."""
        return bool(self._line)

    def room(self, *, preparing: int) -> int:
        """Return how many more jobs may be made ready, with so many being made so already."""
        room = self._room(preparing)
        passing = self.gate.room()
        return room if passing is None else max(0, min(room, passing - preparing))

    def full(self, *, preparing: int) -> bool:
        """Tell whether only a slot that becomes free makes room, whatever the lane says."""
        return not self._room(preparing)

    async def acquire(self, number: int) -> bool:
        """Stand in line and return True with a slot, or False where none is to be had any more."""
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._line[number] = waiting
        self.admit()
        try:
            return await waiting
        finally:
            self._line.pop(number, None)

    def admit(self) -> None:
        """Give slots to whoever stands first; send all away where nothing goes any more."""
        while self._line:
            number = next(iter(self._line))
            over = self.no_more_submissions(number)
            if not over and not self.free:
                return
            waiting = self._line.pop(number)
            if waiting.done():
                continue
            if not over:
                self.taken.add(number)
                self.gate.started()
            waiting.set_result(not over)

    def release(self, number: int) -> None:
        """Give a slot back, if this job holds one, to the next in line."""
        self.limit.ended(number, now=self.gate.monotonic())
        self.taken.discard(number)
        self.admit()

    def _room(self, preparing: int) -> int:
        ahead = min(self.limit.width, MOST_AHEAD) if self.ahead else 0
        if preparing > ahead // 2 and len(self.taken) + preparing >= self.limit.width:
            return 0  # jobs are taken up by the handful
        return max(0, self.limit.width + ahead - len(self.taken) - preparing)

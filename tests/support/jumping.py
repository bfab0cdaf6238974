"""A clock for one task at a time: pauses pass at once."""

from datetime import datetime, timedelta

from support.jobs import NOON


class Jumping:
    """A clock that is where a sleep would have led, at once."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    @property
    def at(self) -> datetime:
        return NOON + timedelta(seconds=self.elapsed)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        # No rounding: a pause too short for a datetime has to end as well.
        self.elapsed += seconds

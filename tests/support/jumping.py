"""A clock for one task at a time: pauses pass at once."""

from datetime import datetime, timedelta

from support.jobs import NOON


class Jumping:
    """A clock that is where a sleep would have led, at once."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - NOON).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

"""Clocks, passed as an argument to all code that reads the time or sleeps.

Wall time (``now``) is for people and tables; ``monotonic`` is for measuring durations.
"""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and sleep."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause the calling task."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Pause the calling task."""
        await asyncio.sleep(seconds)


def local_day(now: datetime) -> tuple[datetime, datetime]:
    """Return the start of this machine's calendar day and of the next one, both in UTC.

    A day on which the clocks change has 23 or 25 hours. If they change at midnight, the day begins
    at the change, or at the earlier of two midnights.
    """
    today = now.astimezone().date()
    return _midnight(today), _midnight(today + timedelta(days=1))


def local_month(now: datetime) -> tuple[datetime, datetime]:
    """Return the start of this machine's calendar month and of the next one, both in UTC."""
    first = now.astimezone().date().replace(day=1)
    return _midnight(first), _midnight((first + timedelta(days=31)).replace(day=1))


def _midnight(day: date) -> datetime:
    local = datetime.combine(day, datetime.min.time())
    begins = local.astimezone(UTC)
    if begins.astimezone().date() < day:
        # The clocks skip this midnight: it was read with the offset that follows.
        begins = local.replace(fold=1).astimezone(UTC)
    return begins

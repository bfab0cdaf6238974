"""Time as an argument: whoever needs the hour, a pause or a duration is handed a ``Clock``.

Wall time (``now``) is for what people and tables read; ``monotonic`` is for measuring.
"""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the rest of the program knows about time."""

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
    """Return when this machine's calendar day began and when the next one does, both in UTC.

    A day that the clocks are changed on has 23 or 25 hours. Where they are changed at
    midnight, the day begins with the change, or with the earlier of two midnights.
    """
    today = now.astimezone().date()
    return _midnight(today), _midnight(today + timedelta(days=1))


def local_month(now: datetime) -> tuple[datetime, datetime]:
    """Return when this machine's calendar month began and when the next one does, both in UTC."""
    first = now.astimezone().date().replace(day=1)
    return _midnight(first), _midnight((first + timedelta(days=31)).replace(day=1))


def _midnight(day: date) -> datetime:
    local = datetime.combine(day, datetime.min.time())
    begins = local.astimezone(UTC)
    if begins.astimezone().date() < day:
        # A midnight that the clocks leap over was read with the offset that follows.
        begins = local.replace(fold=1).astimezone(UTC)
    return begins

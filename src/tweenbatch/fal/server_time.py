"""What time it is at fal, as the ``Date`` of its answers tells: the clock of every proof.

Between two answers it goes on by the event loop's time, which no correction of this machine's
clock moves. While a laptop sleeps it stands still: it is behind then, which proves less, not more.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx


class ServerTime:
    """Knows nothing before the first answer that has a date."""

    def __init__(self) -> None:
        self._heard: tuple[datetime, float] | None = None

    def hear(self, headers: httpx.Headers) -> None:
        """Set the clock by an answer that has just come."""
        date = _date(headers.get("date", ""))
        if date is not None:
            self._heard = date, asyncio.get_running_loop().time()

    def now(self) -> datetime | None:
        """Return fal's time, too early by a second, or by as long as the answer took."""
        if self._heard is None:
            return None
        date, at = self._heard
        return date + timedelta(seconds=asyncio.get_running_loop().time() - at)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)

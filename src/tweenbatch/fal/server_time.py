"""Track fal's clock from the ``Date`` headers of its answers; proofs of absence rely on it.

Between two answers it advances by the event loop's time, which does not jump with this machine's
clock. While a laptop sleeps it stops. Then it is behind, which proves less, never more.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx


class ServerTime:
    """fal's clock; unset until the first answer with a date."""

    def __init__(self) -> None:
        self._last_set: tuple[datetime, float] | None = None

    def update(self, headers: httpx.Headers) -> None:
        """Set the clock by an answer that has just arrived."""
        date = _date(headers.get("date", ""))
        if date is not None:
            self._last_set = date, asyncio.get_running_loop().time()

    def now(self) -> datetime | None:
        """Return fal's time; it is behind by up to a second plus the answer's travel time."""
        if self._last_set is None:
            return None
        date, set_at = self._last_set
        return date + timedelta(seconds=asyncio.get_running_loop().time() - set_at)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)

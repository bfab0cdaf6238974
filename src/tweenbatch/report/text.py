"""Amounts, counts, times and text from outside, as all commands print them."""

from decimal import Decimal

from tweenbatch.printable import printable_line

MESSAGE_WIDTH = 160
SENTENCE_WIDTH = 1000
"""For our own sentences: their end says what to do."""

REHEARSAL = "rehearsal: nothing is charged; amounts show what fal would charge"

SECONDS_TO_TELL = 90
MINUTES_TO_TELL = 100


def usd(amount: Decimal) -> str:
    """Return ``$1.12``, with more decimals if cents are not exact."""
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents}" if cents == amount else f"${amount.normalize():f}"


def clips(count: int) -> str:
    """Return ``1 clip`` or ``3 clips``."""
    return f"{count} clip" if count == 1 else f"{count} clips"


def plain(text: str, *, width: int = MESSAGE_WIDTH) -> str:
    """Return text from outside as one printable line: no control characters, not too long."""
    line = printable_line(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def span(seconds: float) -> str:
    """Return ``40 s``, ``25 min`` or ``3 h 20 min``: as exact as an estimate can be."""
    if seconds < SECONDS_TO_TELL:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < MINUTES_TO_TELL:
        return f"{minutes} min"
    hours, minutes = divmod(round(minutes, -1), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"

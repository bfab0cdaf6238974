"""Is there room where clips and the table are written, and the right to write there.

Asked before money is spent, for what has been paid for must have a place to go.
"""

import os
from collections.abc import Iterable
from pathlib import Path

FLOOR_BYTES = 250_000_000
"""What must be free before a submission: the clips in the air, and the table's own writes."""


def trouble(folders: Iterable[Path], *, floor_bytes: int = FLOOR_BYTES) -> str | None:
    """Return what keeps more from being written, and what to do; None: nothing does."""
    for folder in folders:
        try:
            stand = os.statvfs(folder)
        except OSError as error:
            return f"{folder} can't be reached ({error.strerror}); bring it back, and run again"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} can't be written to; make it writable, and run again"
        free = stand.f_bavail * stand.f_frsize
        if free < floor_bytes:
            return (
                f"only {_mb(free)} are free in {folder}, and nothing is submitted with less than "
                f"{_mb(floor_bytes)}; make room there, and run again"
            )
    return None


def _mb(size: int) -> str:
    return f"{size // 1_000_000:,} MB"

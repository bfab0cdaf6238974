"""Is there room where clips and the table are written, and the right to write there.

Asked before money is spent, for what has been paid for must have a place to go.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FLOOR_BYTES = 250_000_000
"""What must be free before a submission: the clips in the air, and the table's own writes."""

CLIP_BYTES = 27_000_000
"""What a clip of Kling takes, more or less."""

PREVIEW_BYTES = 1_000_000
"""What a rehearsal makes in its stead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What clips will take in a folder, with the floor, and what is free there."""

    folder: Path
    clips: int
    needed_bytes: int
    free_bytes: int

    @property
    def shortage(self) -> str | None:
        """What there is too little of, and what to do; None: there is room."""
        if self.free_bytes >= self.needed_bytes:
            return None
        return (
            f"{self.clips} clip{'' if self.clips == 1 else 's'} need about "
            f"{_mb(self.needed_bytes)} and only {_mb(self.free_bytes)} are free in {self.folder}; "
            "make room there, choose another folder with --output, or submit fewer with --limit"
        )


def room(folder: Path, clips: int, *, clip_bytes: int = CLIP_BYTES) -> Room | None:
    """Return how so many clips fit into a folder, which need not be there yet.

    None where nobody can tell.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        stand = os.statvfs(there)
    except OSError:
        return None
    return Room(
        folder=folder,
        clips=clips,
        needed_bytes=clips * clip_bytes + FLOOR_BYTES,
        free_bytes=stand.f_bavail * stand.f_frsize,
    )


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

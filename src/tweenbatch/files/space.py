"""Check disk space and write permission for clips and the job table.

Checked before anything is paid, because a paid clip must be saved.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MEGABYTE, GIGABYTE, TERABYTE = 10**6, 10**9, 10**12

FLOOR_BYTES = 250_000_000
"""Space required for a submission: for the clips in progress, and the job table's own writes."""

CLIP_BYTES = 27_000_000
"""Approximate size of a Kling clip."""

PREVIEW_BYTES = 1_000_000
"""Approximate size of a clip in a rehearsal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The space that clips need in a folder, including the floor, and the free space there."""

    folder: Path
    clips: int
    needed_bytes: int
    free_bytes: int

    @property
    def shortage(self) -> str | None:
        """The message for too little space, with the next step; None: there is enough."""
        if self.free_bytes >= self.needed_bytes:
            return None
        return (
            f"{self.clips:,} clip{' needs' if self.clips == 1 else 's need'} about "
            f"{_size(self.needed_bytes)}, but only {_size(self.free_bytes)} are free in "
            f"{self.folder}; free some space there, choose another folder with --output, or "
            "submit fewer clips with --limit"
        )


def room(folder: Path, clips: int, *, clip_bytes: int = CLIP_BYTES) -> Room | None:
    """Return the space for ``clips`` clips in a folder, which may not exist yet.

    None if the file system does not report it.
    """
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        status = os.statvfs(existing)
    except OSError:
        return None
    return Room(
        folder=folder,
        clips=clips,
        needed_bytes=clips * clip_bytes + FLOOR_BYTES,
        free_bytes=status.f_bavail * status.f_frsize,
    )


def trouble(folders: Iterable[Path], *, floor_bytes: int = FLOOR_BYTES) -> str | None:
    """Return the problem that prevents writing, with the next step; None: no problem."""
    for folder in folders:
        try:
            status = os.statvfs(folder)
        except OSError as error:
            return f"{folder} can't be reached ({error.strerror}); restore it, and run again"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} can't be written to; make it writable, and run again"
        free = status.f_bavail * status.f_frsize
        if free < floor_bytes:
            return (
                f"only {_size(free)} are free in {folder}, and nothing is submitted with less than "
                f"{_size(floor_bytes)}; free some space there, and run again"
            )
    return None


def _size(count: int) -> str:
    """Return a number of bytes in MB, from 10 GB on in GB and from 1 TB on in TB."""
    if count >= TERABYTE:
        return f"{count / TERABYTE:,.2f} TB"
    if count >= 10 * GIGABYTE:
        return f"{count / GIGABYTE:,.0f} GB"
    return f"{count // MEGABYTE:,} MB"

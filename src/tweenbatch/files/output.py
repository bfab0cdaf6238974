"""Check before anything is paid that clips can be written: permissions and disk space."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from tweenbatch.errors import OutputUnusable
from tweenbatch.files import atomic, space


def check_output(folder: Path, names: Iterable[str] = ()) -> None:
    """Make the output folder and test writing to it; raises ``OutputUnusable``.

    Does the same for the folders of the files ``names`` below it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.try_out(folder)
        for each in {atomic.make_folder_of(folder, name) for name in names} - {folder}:
            with tempfile.TemporaryFile(dir=each) as probe:
                probe.write(b"tweenbatch")
    except OSError as error:
        raise OutputUnusable(
            f"can't write to the output folder {folder} ({error.strerror}); "
            "make it writable or choose another with --output; nothing was submitted"
        ) from error


def check_room(folders: Iterable[Path], room: space.Room | None = None) -> None:
    """Check the disk space for all clips to be submitted; raises ``OutputUnusable``."""
    trouble = space.trouble(folders) or (room.shortage if room else None)
    if trouble is not None:
        raise OutputUnusable(f"{trouble}; nothing was submitted")

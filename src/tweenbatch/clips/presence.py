"""Check that a recorded clip is still on this disk: by its size, or by its bytes and pictures."""

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tweenbatch.errors import BrokenVideo

if TYPE_CHECKING:
    from tweenbatch.clips.checker import Checker  # `status` needs no decoder

UNREADABLE = "can't be checked"


def state_of(path: str | Path, size: int) -> str | None:
    """Return the problem of a file of ``size`` bytes, without reading it; None: no problem."""
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of files; a Path takes ten times as long
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except OSError as error:
        return f"{UNREADABLE} ({error.strerror})"
    if not stat.S_ISREG(status.st_mode):
        return "is no longer a file"
    if status.st_size == size:
        return None
    if not status.st_size:
        return "is empty"
    has = "has only" if status.st_size < size else "has"
    return f"{has} {status.st_size:,} bytes instead of {size:,}"


def content_of(path: Path, *, size: int, sha256: str, checker: "Checker") -> str | None:
    """Return the problem of a file that had these bytes, reading all of it; None: no problem.

    Raises ``CheckUnavailable``.
    """
    try:
        wrong = bytes_of(path, size=size, sha256=sha256)
        if wrong is None:
            checker.check(path)
    except BrokenVideo as error:
        return f"is broken ({error})"
    except OSError as error:
        return f"{UNREADABLE} ({error.strerror})"
    return wrong


def bytes_of(path: Path, *, size: int, sha256: str) -> str | None:
    """Return the problem of a file's bytes; None: no problem. Raises ``OSError``."""
    wrong = state_of(path, size)
    if wrong is None and sha256_of(path) != sha256:
        return "has different content"
    return wrong


def sha256_of(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Does a recorded clip still lie on this disk: by its size, or by its bytes and pictures."""

import hashlib
import os
import stat
from pathlib import Path

from tweenbatch.clips.checker import Checker
from tweenbatch.errors import BrokenVideo

UNREADABLE = "can't be looked at"


def state_of(path: str | Path, size: int) -> str | None:
    """Return what is wrong with a file that had so many bytes, by one look; None: nothing."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of thousands; a Path takes ten times as long
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except OSError as error:
        return f"{UNREADABLE} ({error.strerror})"
    if not stat.S_ISREG(found.st_mode):
        return "is no file any more"
    if found.st_size == size:
        return None
    if not found.st_size:
        return "is empty"
    kind = "has only" if found.st_size < size else "has"
    return f"{kind} {found.st_size:,} bytes where it had {size:,}"


def content_of(path: Path, *, size: int, sha256: str, checker: Checker) -> str | None:
    """Return what is wrong with a file that had these bytes, by reading all of it; None: nothing.

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
    """Return what is wrong with a file's bytes; None: nothing. Raises ``OSError``."""
    wrong = state_of(path, size)
    if wrong is None and sha256_of(path) != sha256:
        return "holds another content"
    return wrong


def sha256_of(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

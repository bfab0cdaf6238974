"""The key that no test may find again: what was written and said is searched for it."""

import os
import stat
from pathlib import Path

KEY = "canary-key-id:canary-key-secret"
"""The key of every test that has one; it must show up nowhere."""

TRACES = tuple(text.encode() for text in (KEY, *KEY.split(":")))
"""The key and each half of it."""

MAX_BYTES = 20_000_000
"""Only clips are larger, and they come from outside."""


def traces(said: str | bytes) -> list[str]:
    """Return which parts of the key a text holds."""
    data = said.encode("utf-8", "surrogatepass") if isinstance(said, str) else said
    return [trace.decode() for trace in TRACES if trace in data]


def refuse(said: str | bytes, *, where: str) -> None:
    """Fail the test that let the key out."""
    found = traces(said)
    assert not found, f"{where} shows the key: {', '.join(found)}"


def refuse_below(folder: Path) -> None:
    """Fail where a file, or the name of one, below the folder shows the key."""
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            refuse(os.fsencode(name), where=f"a name in {parent}")
        for name in files:
            path = Path(parent, name)
            # Our own sources, which a test may copy, name the canary; links lead elsewhere.
            about = path.lstat()
            if stat.S_ISREG(about.st_mode) and about.st_size <= MAX_BYTES and path.suffix != ".py":
                refuse(_read(path), where=str(path))


def _read(path: Path) -> bytes:
    """Read a file, also one that a test has closed to its owner."""
    if not os.access(path, os.R_OK):
        path.chmod(0o600)
    return path.read_bytes()

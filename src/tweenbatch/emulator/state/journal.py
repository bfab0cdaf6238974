"""The journal of the state folder: JSON lines, flushed before the answer is sent."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tweenbatch.files import atomic


class Journal:
    """An append-only file of JSON objects. An incomplete last line is ignored, then cut off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whole = 0
        self._file: BinaryIO | None = None

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the entries of earlier processes."""
        if atomic.require_regular(self._path) is None:
            return
        with atomic.opened(self._path) as file:
            for line in file:
                if line.endswith(b"\n"):
                    self._whole += len(line)
                    yield json.loads(line)

    def open(self) -> None:
        """Start appending after the entries that ``read`` yielded."""
        flags = os.O_WRONLY | os.O_APPEND
        self._file = os.fdopen(atomic.open_regular(self._path, flags, create=True), "ab")
        self._file.truncate(self._whole)

    def write(self, kind: str, **facts: Any) -> None:
        """Append one entry and hand it to the operating system."""
        assert self._file is not None, "the journal is not open"
        line = json.dumps({"kind": kind, **facts}, separators=(",", ":"), ensure_ascii=False)
        self._file.write(line.encode("utf-8", "surrogatepass") + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Stop appending."""
        if self._file is not None:
            self._file.close()
            self._file = None

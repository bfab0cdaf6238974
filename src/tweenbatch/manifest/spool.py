"""Keep checked rows in a temporary file, so that a million of them need little memory.

It does not know what the rows mean.
"""

import marshal
import pickle
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, Any

from tweenbatch.records.manifest import Columns, Row, rows_of

IN_MEMORY = 5_000
"""Rows kept in memory before they are written to the file."""

CHARS_IN_MEMORY = 20_000_000
"""Characters of carried columns kept in memory before rows are written to the file."""

PART = 1_000
"""Most rows returned at a time."""


class Spool:
    """Rows in the order of adding; they can be read repeatedly.

    The file has no name, and disappears with the spool or the process.
    """

    def __init__(self) -> None:
        self._latest: list[Columns] = []
        self._file: IO[bytes] | None = None
        self._written: list[tuple[int, int]] = []
        """Offset and length of each part of the file."""
        self._count = 0
        self._waiting = self._waiting_chars = 0

    def extend(self, columns: Columns) -> None:
        """Append rows."""
        count = len(columns["number"])
        for first in range(0, count, PART):
            some = slice(first, first + PART)
            self._latest.append({name: column[some] for name, column in columns.items()})
        self._count += count
        self._waiting += count
        self._waiting_chars += sum(map(len, columns["extra_json"]))
        if self._waiting < IN_MEMORY and self._waiting_chars < CHARS_IN_MEMORY:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="tweenbatch-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        for packed in map(_packed, self._latest):
            self._written.append((self._file.seek(0, 2), len(packed)))
            self._file.write(packed)
        self._latest.clear()
        self._waiting = self._waiting_chars = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        for columns in self.columns():
            yield from rows_of(columns)

    def columns(self) -> Iterator[Columns]:
        """Yield rows in parts of at most ``PART``."""
        for offset, length in self._written:
            assert self._file is not None
            self._file.seek(offset)
            yield _unpacked(self._file.read(length))
        yield from self._latest


def _packed(columns: Columns) -> bytes:
    """Return rows as bytes that this process can read.

    ``marshal`` packs all columns except the kinds: a pickle takes three times as long.
    """
    return marshal.dumps({**columns, "kind": pickle.dumps(columns["kind"], protocol=5)})


def _unpacked(packed: bytes) -> Columns:
    columns: dict[str, Any] = marshal.loads(packed)  # noqa: S302 - our own bytes
    return {**columns, "kind": pickle.loads(columns["kind"])}  # noqa: S301 - our own bytes

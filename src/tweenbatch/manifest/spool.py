"""Checked rows, kept where they cost no memory: a million of them lie in a temporary file.

It knows how rows are stored and handed out again, and nothing of what they mean.
"""

import marshal
import pickle
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, Any

from tweenbatch.records.manifest import Columns, Row, rows_of

IN_MEMORY = 5_000
"""From so many rows on, those that wait in memory are written; fewer only where they are long."""

CHARS_IN_MEMORY = 20_000_000
"""From so many characters on as well; of those that mean nothing here a row may have many."""

PART = 1_000
"""So many rows at most come back together."""


class Spool:
    """Rows in the order in which they were added; they can be read again and again.

    The file has no name, and ends with the spool or with the process.
    """

    def __init__(self) -> None:
        self._latest: list[Columns] = []
        self._file: IO[bytes] | None = None
        self._written: list[tuple[int, int]] = []
        """Where in the file each part begins, and how many bytes it has."""
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
        """Read some rows at a time."""
        for offset, length in self._written:
            assert self._file is not None
            self._file.seek(offset)
            yield _unpacked(self._file.read(length))
        yield from self._latest


def _packed(columns: Columns) -> bytes:
    """Return rows as bytes for this very process.

    All but the kinds by ``marshal``: a pickle takes three times as long.
    """
    return marshal.dumps({**columns, "kind": pickle.dumps(columns["kind"], protocol=5)})


def _unpacked(packed: bytes) -> Columns:
    columns: dict[str, Any] = marshal.loads(packed)  # noqa: S302 - our own bytes
    return {**columns, "kind": pickle.loads(columns["kind"])}  # noqa: S301 - our own bytes

"""Checked rows, kept where they cost no memory: a million of them lie in a temporary file.

It knows how rows are stored and handed out again, and nothing of what they mean.
"""

import marshal
import pickle
import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator
from typing import IO, Any

from tweenbatch.records import Row

IN_MEMORY = 5_000
"""From so many rows on, those that wait in memory are written; fewer never are."""

_KIND = Row._fields.index("kind")


class Spool(Collection[Row]):
    """Rows in the order in which they were added; they can be read again and again.

    The file has no name, and ends with the spool or with the process.
    """

    def __init__(self) -> None:
        self._latest: list[Row] = []
        self._file: IO[bytes] | None = None
        self._written: list[tuple[int, int]] = []
        """Where in the file each part begins, and how many bytes it has."""
        self._count = 0

    def extend(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        before = len(self._latest)
        self._latest += rows
        self._count += len(self._latest) - before
        if len(self._latest) >= IN_MEMORY:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="tweenbatch-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            packed = _packed(self._latest)
            self._written.append((self._file.seek(0, 2), len(packed)))
            self._file.write(packed)
            self._latest.clear()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: object) -> bool:
        return any(each == row for each in self)

    def __iter__(self) -> Iterator[Row]:
        for offset, length in self._written:
            assert self._file is not None
            self._file.seek(offset)
            yield from _unpacked(self._file.read(length))
        yield from self._latest


def _packed(rows: Iterable[Row]) -> bytes:
    """Return rows as bytes for this very process.

    Column by column, and all but the kinds by ``marshal``: a pickle takes three times as long.
    """
    columns: list[Any] = list(zip(*rows, strict=True))
    columns[_KIND] = pickle.dumps(columns[_KIND], protocol=5)
    return marshal.dumps(columns)


def _unpacked(packed: bytes) -> Iterator[Row]:
    columns = marshal.loads(packed)  # noqa: S302 - our own bytes
    columns[_KIND] = pickle.loads(columns[_KIND])  # noqa: S301 - our own bytes
    return map(Row._make, zip(*columns, strict=True))

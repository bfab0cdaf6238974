"""Checked rows, kept where they cost no memory: a million of them lie in a temporary file.

It knows how rows are stored and handed out again, and nothing of what they mean.
"""

import pickle
import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator
from typing import IO

from tweenbatch.records import Row

IN_MEMORY = 5_000
"""From so many rows on, those that wait in memory are written; fewer never are."""


class Spool(Collection[Row]):
    """Rows in the order in which they were added; they can be read again and again.

    The file has no name, and ends with the spool or with the process.
    """

    def __init__(self) -> None:
        self._latest: list[Row] = []
        self._file: IO[bytes] | None = None
        self._written: list[int] = []
        """Where in the file each part begins."""
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
            self._written.append(self._file.seek(0, 2))
            # Plain tuples: pickle would name the class of each row anew.
            pickle.dump(list(map(tuple, self._latest)), self._file, protocol=5)
            self._latest.clear()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: object) -> bool:
        return any(each == row for each in self)

    def __iter__(self) -> Iterator[Row]:
        for offset in self._written:
            assert self._file is not None
            self._file.seek(offset)
            yield from map(Row._make, pickle.load(self._file))  # noqa: S301 - our own bytes
        yield from self._latest

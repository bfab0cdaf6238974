"""Limits on the contents of a manifest, so that a small file can't exhaust memory or time.

Every limit is far above the contents of an ordinary file of that size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tweenbatch.errors import ManifestError, Problem

MAX_COLUMNS = 1_000
MAX_HEADER_CHARS = 50_000
"""Length of all column names together: the export repeats them in every row."""

MAX_CELL_CHARS = 131_072
"""Length of a cell; Python's ``csv`` has the same limit."""

MAX_PROBLEMS = 100_000

MEGABYTE = 1_000_000


class OutOfBounds(ValueError):
    """A file exceeds a limit; the message says which, and what to do."""


@dataclass(slots=True)
class Allowance:
    """How much a file may still expand: repeated and empty cells take hardly any bytes in it."""

    cells: int
    chars: int
    unpacked: int
    """Bytes of compressed parts after unpacking."""
    elements: int
    """XML elements."""

    @classmethod
    def of(cls, size: int) -> "Allowance":
        """Return the allowance of a file of ``size`` bytes."""
        return cls(
            cells=5 * MEGABYTE + 3 * size,
            chars=100 * MEGABYTE + 100 * size,
            unpacked=150 * MEGABYTE + 100 * size,
            elements=MEGABYTE // 2 + 2 * size,
        )

    def take_texts(self, columns: Sequence[Sequence[str]], header_chars: int) -> None:
        """Count the texts of rows, column by column; raise ``OutOfBounds``."""
        rows = len(columns[0]) if columns else 0
        self.chars -= rows * header_chars + sum(sum(map(len, column)) for column in columns)
        if self.chars < 0:
            raise OutOfBounds(
                "it repeats long texts too often for a file of this size; shorten them, or split "
                "the file"
            )

    def take_cells(self, count: int) -> None:
        """Count cells, also empty ones; raise ``OutOfBounds``."""
        self.cells -= count
        if self.cells < 0:
            raise OutOfBounds(
                "it has too many cells for a file of this size, most of them empty or equal; "
                "remove unneeded columns, or split the file"
            )

    def take_unpacked(self, size: int) -> None:
        """Count bytes before they are unpacked; raise ``OutOfBounds``."""
        self.unpacked -= size
        if self.unpacked < 0:
            raise OutOfBounds(
                "it unpacks to too much data for a file of this size; save its rows in a new file"
            )

    def take_elements(self, count: int) -> None:
        """Count XML elements; raise ``OutOfBounds``."""
        self.elements -= count
        if self.elements < 0:
            raise OutOfBounds(
                "it has too many entries for a file of this size, most of them empty; copy the "
                "rows into a new workbook, or split the file"
            )


class Problems(list[Problem]):
    """The problems of one file; raises ``ManifestError`` with all of them at ``MAX_PROBLEMS``."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def append(self, problem: Problem) -> None:
        """Record a problem; raise ``ManifestError`` if there are too many."""
        if len(self) >= MAX_PROBLEMS:
            message = f"there are more than {MAX_PROBLEMS:,} problems; the rest was not read"
            raise ManifestError(self._path, [*self, Problem(message=message)])
        super().append(problem)

    def note(self, problems: Sequence[Problem]) -> None:
        """Record several problems; raise ``ManifestError`` if there are too many."""
        for problem in problems:
            self.append(problem)


def refuse_header(header: Sequence[str]) -> None:
    """Raise ``OutOfBounds`` if there are too many columns or too long names."""
    if len(header) > MAX_COLUMNS:
        raise OutOfBounds(
            f"the header has {len(header):,} columns; a manifest has at most {MAX_COLUMNS:,}: "
            "remove unneeded columns"
        )
    if sum(map(len, header)) > MAX_HEADER_CHARS:
        raise OutOfBounds(
            f"the column names have more than {MAX_HEADER_CHARS:,} characters together; "
            "shorten them, or remove unneeded columns"
        )

"""How much a manifest may hold, so that no file takes memory or time out of proportion to its size.

Every number lies far above what an honest file of that size holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tweenbatch.errors import ManifestError, Problem

MAX_COLUMNS = 1_000
MAX_HEADER_CHARS = 50_000
"""Of all names together: every row repeats them in what is exported."""

MAX_CELL_CHARS = 131_072
"""Of any cell; Python's ``csv`` has the same bound."""

MAX_PROBLEMS = 100_000

MEGABYTE = 1_000_000


class OutOfBounds(ValueError):
    """A file holds more than is read; says what, and what to do."""


@dataclass(slots=True)
class Allowance:
    """What a file may still unfold to: repeated and empty cells cost it next to nothing."""

    cells: int
    chars: int
    unpacked: int
    """Bytes of compressed parts once they are unpacked."""
    elements: int
    """Elements of XML."""

    @classmethod
    def of(cls, size: int) -> "Allowance":
        """Return the allowance of a file of so many bytes."""
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
                "it repeats long texts so often that they come to more than is read from a file "
                "of this size; shorten them, or split the file"
            )

    def take_cells(self, count: int) -> None:
        """Count cells, also empty ones; raise ``OutOfBounds``."""
        self.cells -= count
        if self.cells < 0:
            raise OutOfBounds(
                "it has far more cells than are read from a file of this size, most of them empty "
                "or alike; remove columns that are not needed, or split the file"
            )

    def take_unpacked(self, size: int) -> None:
        """Count bytes that are to be unpacked; raise ``OutOfBounds``."""
        self.unpacked -= size
        if self.unpacked < 0:
            raise OutOfBounds(
                "it unpacks to more than is read from a file of this size; save its rows as a file "
                "of their own"
            )

    def take_elements(self, count: int) -> None:
        """Count elements that were read; raise ``OutOfBounds``."""
        self.elements -= count
        if self.elements < 0:
            raise OutOfBounds(
                "it has far more entries than are read from a file of this size, most of them "
                "empty; copy the rows into a new workbook, or split the file"
            )


class Problems(list[Problem]):
    """What is wrong with one file.

    Raises ``ManifestError`` with all of it once there is so much that reading on helps nobody.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def append(self, problem: Problem) -> None:
        """Take note of a problem; raise ``ManifestError``."""
        if len(self) >= MAX_PROBLEMS:
            message = f"there are more than {MAX_PROBLEMS:,} problems; the rest was not read"
            raise ManifestError(self._path, [*self, Problem(message=message)])
        super().append(problem)

    def note(self, problems: Sequence[Problem]) -> None:
        """Take note of several; raise ``ManifestError``."""
        for problem in problems:
            self.append(problem)


def refuse_header(header: Sequence[str]) -> None:
    """Raise ``OutOfBounds`` for more columns, or longer names of them, than any manifest has."""
    if len(header) > MAX_COLUMNS:
        raise OutOfBounds(
            f"the header has {len(header):,} columns; a manifest has at most {MAX_COLUMNS:,}: "
            "remove those that are not needed"
        )
    if sum(map(len, header)) > MAX_HEADER_CHARS:
        raise OutOfBounds(
            f"the names of the columns have more than {MAX_HEADER_CHARS:,} characters together; "
            "shorten them, or remove columns that are not needed"
        )

"""A text file with separated columns becomes a sheet: commas, semicolons or tabs.

Read by Python's ``csv``, which unlike faster parsers knows on which line every row begins,
how many cells it has, and where a quote was never closed.
"""

import csv
import re
from collections.abc import Iterator, Sequence

from tweenbatch.errors import Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.sheet import Line, Sheet
from tweenbatch.manifest.source import Source

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
MAX_CELL_CHARS = 131_072
_ANNOUNCED = re.compile(r"sep=([,;\t])\s*", re.IGNORECASE)
_NAMES_FRAME = re.compile(r"https?://|\.(?:png|jpe?g|webp)\b", re.IGNORECASE)
_SWALLOWED = (
    'a quote (") opens here and is closed rows later, so that one cell holds other rows; close it '
    "where its text ends"
)
TABBED = (".tsv", ".tab")


def load(source: Source) -> Sheet:
    """Return what the file holds; raise ``ManifestError`` where its header can't be had."""
    lines = _Counted(source.text())
    separator = _announced(lines)
    header, number = _header(source, lines, separator)
    problems: list[Problem] = []
    return Sheet(
        path=source.path,
        sha256=source.sha256,
        header=header,
        lines=_rows(lines, number, problems),
        problems=problems,
    )


class _Counted(Iterator[str]):
    """Lines of text, counted while they are read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._next: list[str] = []
        self.count = 0
        self.separator = ","
        self.width = 0

    def __next__(self) -> str:
        line = self._next.pop() if self._next else next(self._lines)
        self.count += 1
        return line

    def unread(self, line: str) -> None:
        """Give a line back."""
        self._next.append(line)
        self.count -= 1


def _announced(lines: _Counted) -> str | None:
    """Return what Excel's first line ``sep=;`` says, if there is one; it counts as no row."""
    first = next(lines, None)
    announced = _ANNOUNCED.fullmatch(first or "")
    if announced is None and first is not None:
        lines.unread(first)
    return announced[1] if announced else None


def _header(source: Source, lines: _Counted, separator: str | None) -> tuple[tuple[str, ...], int]:
    """Return the header and the number of its row; empty rows may stand above it."""
    number = 1
    for line in lines:
        if line.strip(" \t\r\n,;"):
            lines.unread(line)
            break
        number += 1
    else:
        raise source.refuse("the file is empty")
    lines.separator = separator or _separator(source, line)
    try:
        cells = next(csv.reader(lines, delimiter=lines.separator, strict=True))
    except csv.Error as error:
        raise source.refuse(f"the header can't be read: {_said(error)}") from error
    lines.width = len(cells)
    return tuple(cells), number


def _separator(source: Source, line: str) -> str:
    """Return what makes the most sense of a header: names that are known, or else most cells."""
    if source.path.suffix.lower() in TABBED:
        return "\t"

    def sense(separator: str) -> tuple[int, int]:
        cells = line.split(separator)
        names = [columns.canonical(cell.strip(' "\r\n')) for cell in cells]
        return sum(name in columns.REQUIRED for name in names), len(cells)

    return max(SEPARATORS, key=sense)


def _rows(lines: _Counted, header_row: int, problems: list[Problem]) -> Iterator[Line]:
    number = header_row
    reader = csv.reader(lines, delimiter=lines.separator, strict=True)
    begins = lines.count + 1
    try:
        for cells in reader:
            number += 1
            if lines.count > begins and _swallowed(cells, lines.separator, lines.width):
                problems.append(Problem(message=_SWALLOWED, kind="quote", row=number, line=begins))
                begins = lines.count + 1
                continue
            yield Line(number, begins, cells)
            begins = lines.count + 1
    except csv.Error as error:
        problems.append(
            Problem(
                message=f"{_said(error)}; nothing behind it could be read",
                kind="quote",
                row=number + 1,
                line=begins,
            )
        )


def _swallowed(cells: Sequence[str], separator: str, width: int) -> bool:
    """Tell whether a cell of several lines holds what looks like a row of this file."""
    for cell in cells:
        for line in cell.splitlines()[:-1]:
            parts = line.count(separator) + 1
            if parts >= width > 1 and _NAMES_FRAME.search(line):
                return True
    return False


def _said(error: csv.Error) -> str:
    """Say in our words what the parser found."""
    text = str(error)
    if "field larger" in text:
        return (
            f"a cell has more than {MAX_CELL_CHARS:,} characters: is a quote open that begins here"
        )
    return 'a quote (") opens here and is not closed, or text stands behind one that was closed'

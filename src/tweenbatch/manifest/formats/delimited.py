"""A text file with separated columns becomes a sheet: commas, semicolons or tabs.

Read by Python's ``csv``, which unlike faster parsers knows on which line every row begins,
how many cells it has, and where a quote was never closed.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from tweenbatch.errors import Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.formats.bounds import MAX_CELL_CHARS, Problems, refuse_header
from tweenbatch.manifest.formats.sheet import Line, Sheet
from tweenbatch.manifest.formats.source import Source

if TYPE_CHECKING:
    import _csv

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_ANNOUNCED = re.compile(r"sep=([,;\t])\s*", re.IGNORECASE)
_NAMES_FRAME = re.compile(r"https?://|\.(?:png|jpe?g|webp)\b", re.IGNORECASE)
_SWALLOWED = (
    'a quote (") opens here and is closed rows later, so that one cell holds other rows; close it '
    "where its text ends"
)
TABBED = (".tsv", ".tab")


def load(source: Source) -> Sheet:
    """Return what the file holds; raise ``ManifestError`` where its header can't be had."""
    lines = source.text()
    first = next(lines, "")
    # Excel's first line ``sep=;`` counts as no row.
    announced = _ANNOUNCED.fullmatch(first)
    above = 1 if announced else 0
    header_row = 1
    for line in lines if announced else chain([first], lines):
        if line.strip(" \t\r\n,;"):
            break
        header_row += 1
    else:
        raise source.refuse("the file is empty")
    above += header_row - 1
    separator = announced[1] if announced else _separator(source, line)
    reader = csv.reader(chain([line], lines), delimiter=separator, strict=True)
    try:
        header = tuple(next(reader))
    except csv.Error as error:
        raise source.refuse(f"the header can't be read: {_said(error)}") from error
    refuse_header(header)
    problems = Problems(source.path)
    text = _Text(reader=reader, above=above, separator=separator, width=len(header))
    return Sheet(
        path=source.path,
        sha256=source.sha256,
        header=header,
        lines=_rows(text, header_row, problems),
        problems=problems,
        allowance=source.allowance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """What stands below the header; ``above`` so many lines stood above it."""

    reader: "_csv.Reader"
    above: int
    separator: str
    width: int


def _separator(source: Source, line: str) -> str:
    """Return what makes the most sense of a header: names that are known, or else most cells."""
    if source.path.suffix.lower() in TABBED:
        return "\t"

    def sense(separator: str) -> tuple[int, int]:
        cells = line.split(separator)
        names = [columns.canonical(cell.strip(' "\r\n')) for cell in cells]
        return sum(name in columns.REQUIRED for name in names), len(cells)

    return max(SEPARATORS, key=sense)


def _rows(text: _Text, header_row: int, problems: list[Problem]) -> Iterator[Line]:
    reader, above = text.reader, text.above
    number, begins = header_row, above + reader.line_num + 1
    try:
        for cells in reader:
            number += 1
            after = above + reader.line_num + 1
            if after > begins + 1 and _swallowed(cells, text.separator, text.width):
                problems.append(Problem(message=_SWALLOWED, kind="quote", row=number, line=begins))
            else:
                yield Line(number, begins, cells)
            begins = after
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

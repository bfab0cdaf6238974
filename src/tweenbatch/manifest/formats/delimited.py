"""Read a CSV or TSV file into a sheet: columns separated by commas, semicolons or tabs.

Python's ``csv``, unlike faster parsers, reports the line of every row, its number of cells and an
unclosed quote.
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
    'a quote (") opens here and closes several rows later, so that one cell contains other rows; '
    "close it where its text ends"
)
TABBED = (".tsv", ".tab")


def load(source: Source) -> Sheet:
    """Return the file's sheet; raise ``ManifestError`` if its header can't be read."""
    lines = source.text()
    first = next(lines, "")
    # Excel's first line ``sep=;`` is not a row.
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
        raise source.refuse(f"the header can't be read: {_message(error)}") from error
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
    """The text below the header; ``above`` is the number of lines above the header."""

    reader: "_csv.Reader"
    above: int
    separator: str
    width: int


def _separator(source: Source, line: str) -> str:
    """Return the separator that gives a header the most known names, or else the most cells."""
    if source.path.suffix.lower() in TABBED:
        return "\t"

    def score(separator: str) -> tuple[int, int]:
        cells = line.split(separator)
        names = [columns.canonical(cell.strip(' "\r\n')) for cell in cells]
        return sum(name in columns.REQUIRED for name in names), len(cells)

    return max(SEPARATORS, key=score)


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
                message=f"{_message(error)}; the rest of the file could not be read",
                kind="quote",
                row=number + 1,
                line=begins,
            )
        )


def _swallowed(cells: Sequence[str], separator: str, width: int) -> bool:
    """Return whether a cell of several lines contains text that looks like a row of this file."""
    for cell in cells:
        for line in cell.splitlines()[:-1]:
            parts = line.count(separator) + 1
            if parts >= width > 1 and _NAMES_FRAME.search(line):
                return True
    return False


def _message(error: csv.Error) -> str:
    """Return our message for an error of the parser."""
    text = str(error)
    if "field larger" in text:
        return (
            f"a cell has more than {MAX_CELL_CHARS:,} characters: check for a quote that opens "
            "here and is not closed"
        )
    return 'a quote (") opens here and is not closed, or text follows a closing quote'

"""Rows get the shape of their header: as many cells, and none under a column without a name.

It knows cells and columns by their places; what a column means is not its affair.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tweenbatch.errors import ManifestError, Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.formats.bounds import OutOfBounds
from tweenbatch.manifest.formats.sheet import Block, Line, Sheet

BLOCK = 1_000
"""Rows that are checked together, and whose frames are recalled at once."""

SHOWN = 40
"""Of a stray cell so many characters are shown."""


def trimmed(header: Sequence[str]) -> tuple[str, ...]:
    """Return the header without the empty columns that spreadsheets put behind the last."""
    width = len(header)
    while width and not header[width - 1].strip():
        width -= 1
    return tuple(header[:width])


def named(header: Sequence[str]) -> list[str]:
    """Return the names of a header without the empty ones, which name nothing."""
    return [name for name in header if name.strip()]


def named_twice(header: Sequence[str]) -> list[Problem]:
    """Return the columns that a header has twice, as problems."""
    return [
        Problem(message="appears twice in the header", column=name, kind="named twice")
        for name in columns.duplicates(header)
    ]


def blocks(sheet: Sheet) -> Iterator[Block]:
    """Yield the rows that have anything in them, without the cells of nameless columns.

    What has another shape becomes a problem of the sheet.
    """
    places = [place for place, name in enumerate(sheet.header) if name.strip()]
    name_chars = sum(map(len, sheet.header))
    while lines := list(islice(sheet.lines, BLOCK)):
        if not _is_even(lines, len(sheet.header)):
            lines = list(_shaped(lines, sheet))
        if lines:
            numbers, line_numbers, cells = zip(*lines, strict=True)
            columns = list(zip(*cells, strict=True))
            if len(places) < len(columns):
                for problem in _in_nameless(lines, sheet.header):
                    sheet.problems.append(problem)
                columns = [columns[place] for place in places]
            if sheet.allowance is not None:
                try:
                    sheet.allowance.take_texts(columns, name_chars)
                except OutOfBounds as error:
                    raise ManifestError(sheet.path, [Problem(message=str(error))]) from error
            yield Block(numbers, line_numbers, columns)


def _is_even(lines: Sequence[Line], width: int) -> bool:
    """Tell quickly that nothing need be said of the rows: all have their cells, and none is empty.

    Of the latter one column that is filled from top to bottom is the proof.
    """
    cells = [line.cells for line in lines]
    if set(map(len, cells)) != {width}:
        return False
    return any(all(map(str.strip, column)) for column in zip(*cells, strict=True))


def _shaped(lines: Iterable[Line], sheet: Sheet) -> Iterator[Line]:
    width = len(sheet.header)
    for row in lines:
        if not any(map(str.strip, row.cells)):
            continue
        if len(row.cells) >= width and not any(map(str.strip, row.cells[width:])):
            yield row._replace(cells=row.cells[:width])
        else:
            sheet.problems.append(_ragged(row, width))


def _in_nameless(lines: Iterable[Line], header: Sequence[str]) -> Iterator[Problem]:
    nameless = [place for place, name in enumerate(header) if not name.strip()]
    for row in lines:
        for place in nameless:
            if row.cells[place].strip():
                yield _unnamed(row, place)


def _ragged(row: Line, width: int) -> Problem:
    many = len(row.cells) > width
    hint = "put quotes round texts with separators" if many else "fill it up, if with empty cells"
    if many and row.line is None:
        hint = "name their columns, or empty them"
    return Problem(
        message=f"has {len(row.cells)} cells where the header has {width}; {hint}",
        kind="too many cells" if many else "missing cells",
        row=row.number,
        line=row.line,
    )


def _unnamed(row: Line, place: int) -> Problem:
    return Problem(
        message=f"there is '{row.cells[place].strip()[:SHOWN]}' in column {place + 1}, which has "
        "no name in the header; give it one, or empty it",
        kind="unnamed column",
        row=row.number,
        line=row.line,
    )

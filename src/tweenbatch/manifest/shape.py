"""Give rows the shape of the header: the same number of cells, none in an unnamed column.

It knows the positions of cells and columns. It does not know the meaning of a column.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tweenbatch.errors import ManifestError, Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.formats.bounds import OutOfBounds
from tweenbatch.manifest.formats.sheet import Block, Line, Sheet

BLOCK = 1_000
"""Rows that are checked together, with one query for their cached frames."""

SHOWN = 40
"""Characters of a cell shown in a message."""


def trimmed(header: Sequence[str]) -> tuple[str, ...]:
    """Return the header without the empty columns that spreadsheets add at its end."""
    width = len(header)
    while width and not header[width - 1].strip():
        width -= 1
    return tuple(header[:width])


def named(header: Sequence[str]) -> list[str]:
    """Return the names of a header without the empty ones."""
    return [name for name in header if name.strip()]


def named_twice(header: Sequence[str]) -> list[Problem]:
    """Return a problem for each column name that appears twice."""
    return [
        Problem(message="appears twice in the header", column=name, kind="named twice")
        for name in columns.duplicates(header)
    ]


def blocks(sheet: Sheet) -> Iterator[Block]:
    """Yield the rows that aren't empty, without the cells of unnamed columns.

    A row of another shape becomes a problem of the sheet.
    """
    named_columns = [index for index, name in enumerate(sheet.header) if name.strip()]
    name_chars = sum(map(len, sheet.header))
    while lines := list(islice(sheet.lines, BLOCK)):
        if not _is_even(lines, len(sheet.header)):
            lines = list(_shaped(lines, sheet))
        if lines:
            numbers, line_numbers, cells = zip(*lines, strict=True)
            columns = list(zip(*cells, strict=True))
            if len(named_columns) < len(columns):
                for problem in _in_nameless(lines, sheet.header):
                    sheet.problems.append(problem)
                columns = [columns[index] for index in named_columns]
            if sheet.allowance is not None:
                try:
                    sheet.allowance.take_texts(columns, name_chars)
                except OutOfBounds as error:
                    raise ManifestError(sheet.path, [Problem(message=str(error))]) from error
            yield Block(numbers, line_numbers, columns)


def _is_even(lines: Sequence[Line], width: int) -> bool:
    """Return quickly whether all rows have the header's width and none is empty.

    One column that is filled in every row proves that no row is empty.
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
    nameless = [index for index, name in enumerate(header) if not name.strip()]
    for row in lines:
        for index in nameless:
            if row.cells[index].strip():
                yield _unnamed(row, index)


def _ragged(row: Line, width: int) -> Problem:
    count = len(row.cells)
    many = count > width
    hint = "add the missing cells (they may be empty)"
    if many and row.line is None:
        hint = "name the extra columns in the header, or clear the extra cells"
    elif many:
        hint = "put quotes around texts that contain separators"
    return Problem(
        message=f"has {count} cell{'' if count == 1 else 's'} where the header has {width}; {hint}",
        kind="too many cells" if many else "missing cells",
        row=row.number,
        line=row.line,
    )


def _unnamed(row: Line, index: int) -> Problem:
    return Problem(
        message=f"has '{row.cells[index].strip()[:SHOWN]}' in column {index + 1}, which has "
        "no name in the header; name the column, or clear the cell",
        kind="unnamed column",
        row=row.number,
        line=row.line,
    )

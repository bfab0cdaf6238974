"""Rows get the shape of their header: as many cells, and none under a column without a name.

It knows cells and columns by their places; what a column means is not its affair.
"""

from collections.abc import Iterator, Sequence

from tweenbatch.errors import Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.sheet import Line, Sheet

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


def shaped(sheet: Sheet) -> Iterator[Line]:
    """Yield the rows that have anything in them, without the cells of nameless columns.

    What has another shape becomes a problem of the sheet.
    """
    width = len(sheet.header)
    nameless = [place for place, name in enumerate(sheet.header) if not name.strip()]
    places = [place for place, name in enumerate(sheet.header) if name.strip()]
    for row in sheet.lines:
        cells = row.cells
        if not any(map(str.strip, cells)):
            continue
        if len(cells) != width:
            if len(cells) < width or any(map(str.strip, cells[width:])):
                sheet.problems.append(_ragged(row, width))
                continue
            cells = cells[:width]
        if nameless:
            stray = [place for place in nameless if cells[place].strip()]
            sheet.problems.extend(_unnamed(row, place) for place in stray)
            cells = [cells[place] for place in places]
        yield Line(row.number, row.line, cells)


def _ragged(row: Line, width: int) -> Problem:
    many = len(row.cells) > width
    hint = "put quotes round texts with separators" if many else "fill it up, if with empty cells"
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

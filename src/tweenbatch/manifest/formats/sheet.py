"""A manifest as text cells under a header, before the cells are interpreted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tweenbatch.errors import Problem
from tweenbatch.manifest.formats.bounds import Allowance


class Line(NamedTuple):
    """The cells of one row of a file.

    ``number`` is the row number in a spreadsheet (the header is row 1), ``line`` the first line of
    the row in a text file, None for other files.
    """

    number: int
    line: int | None
    cells: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The header and rows of a file; the rows can be read once.

    ``problems`` are those of the file itself, complete after the rows were read.
    """

    path: Path
    sha256: str
    header: tuple[str, ...]
    lines: Iterator[Line]
    problems: list[Problem] = field(default_factory=list)
    warnings: Sequence[Problem] = ()
    allowance: Allowance | None = None
    """The limits on the rows; None: no limit."""


class Block(NamedTuple):
    """Consecutive rows, column by column, because that is faster for a million rows.

    ``numbers`` and ``lines`` are those of ``Line``; ``columns`` are the named ones of the header.
    """

    numbers: Sequence[int]
    lines: Sequence[int | None]
    columns: Sequence[Sequence[str]]

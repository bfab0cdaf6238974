"""What a manifest file holds, before anybody asks what it means: cells of text under a header."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tweenbatch.errors import Problem
from tweenbatch.manifest.formats.bounds import Allowance


class Line(NamedTuple):
    """The cells of one row of a file.

    ``number`` is what a person sees beside it (the header of a table is row 1), ``line`` the line
    of a text file on which it begins, None for a file without lines.
    """

    number: int
    line: int | None
    cells: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The rows of a file under the column names as the file spells them, to be read once.

    What is wrong with the file itself is in ``problems``, all of it once the rows were read, and
    what somebody should know of it in ``warnings``.
    """

    path: Path
    sha256: str
    header: tuple[str, ...]
    lines: Iterator[Line]
    problems: list[Problem] = field(default_factory=list)
    warnings: Sequence[Problem] = ()
    allowance: Allowance | None = None
    """How much the rows may come to; None: whatever there is."""


class Block(NamedTuple):
    """Some rows that follow each other, column by column: there may be a million to be checked.

    ``numbers`` and ``lines`` are those of ``Line``; the columns are those of the header that have
    a name.
    """

    numbers: Sequence[int]
    lines: Sequence[int | None]
    columns: Sequence[Sequence[str]]

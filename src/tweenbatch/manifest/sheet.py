"""What a manifest file holds, before anybody asks what it means: cells of text under a header."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The cells of a file as text, under the column names as the file spells them.

    ``numbers`` are the rows as a person sees them (the header of a table is row 1), ``lines``
    the lines of a text file on which the rows begin, None for a file without lines.
    """

    path: Path
    sha256: str
    cells: pd.DataFrame
    numbers: Sequence[int]
    lines: Sequence[int] | None

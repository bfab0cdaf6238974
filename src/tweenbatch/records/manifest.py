"""A manifest and its rows as values: one by one, or column by column.

There may be a million of them: nothing here is made for each that need not be.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tweenbatch.errors import Problem
from tweenbatch.records.content import Frame, JobSpec


class ContentColumns(NamedTuple):
    """What rows ask for, column by column: all that ``content_key`` wants but the take."""

    commons: Sequence[str]
    prompts: Sequence[str]
    starts: Sequence[str]
    ends: Sequence[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """What jobs have in common that differ only in prompt, frames and take.

    Rows by the thousand share one. The price is that of one clip.
    """

    endpoint: str
    parameters: Mapping[str, str] = field(hash=False)
    price_usd: Decimal


class Row(NamedTuple):
    """One row of a manifest, checked, and the job that it asks for.

    ``number`` is what a spreadsheet shows (the header is row 1). ``start_image`` and
    ``end_image`` stand as the person wrote them; sources and digests are those of the frames that
    were found there. ``extra`` are the columns that mean nothing to the endpoint and are carried
    through. ``output`` is the name that the clip is to have, folders and all; empty where nobody
    asked for one. It is a flat tuple because there may be a million of them.
    """

    number: int
    name: str
    key: str
    kind: JobKind
    take: int
    prompt: str
    start_source: str
    start_sha256: str | None
    end_source: str | None
    end_sha256: str | None
    start_image: str
    end_image: str
    priority: int = 0
    tags: tuple[str, ...] = ()
    extra_json: str = "{}"
    output: str = ""

    @property
    def extra(self) -> Mapping[str, str]:
        """The columns that are carried through, in the order of the file."""
        columns: dict[str, str] = json.loads(self.extra_json)
        return columns

    @property
    def spec(self) -> JobSpec:
        """The job."""
        end = self.end_source
        return JobSpec(
            endpoint=self.kind.endpoint,
            prompt=self.prompt,
            start=Frame(source=self.start_source, sha256=self.start_sha256),
            end=None if end is None else Frame(source=end, sha256=self.end_sha256),
            parameters=self.kind.parameters,
            take=self.take,
        )


Columns = Mapping[str, Sequence[Any]]
"""Rows that follow each other, column by column: one for each field of ``Row``."""


def rows_of(columns: Columns) -> Iterator[Row]:
    """Yield rows one by one."""
    return map(Row._make, zip(*(columns[name] for name in Row._fields), strict=True))


class Rows(Protocol):
    """Rows that may be read again and again, and need not be in memory."""

    def __len__(self) -> int:
        """How many there are, each take counted."""

    def __iter__(self) -> Iterator[Row]:
        """Read them one by one."""

    def columns(self) -> Iterator[Columns]:
        """Read some at a time: of a million that is much quicker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A file of rows, read and checked; ``warnings`` is what somebody should know of it.

    ``mapped`` names its columns that stand for one of another name, with that, and
    ``own_columns`` a person's own. ``fitted`` names the frames that prepared copies stand for,
    with what was done to each. ``reading`` is a digest of all that made these rows of the bytes of
    the file; None where the same bytes may make others another time.
    """

    path: Path
    sha256: str
    rows: Rows
    reading: str | None = None
    same_as: "LastImport | None" = None
    """The last import of the table, where that has these very rows; then ``rows`` is empty."""
    warnings: tuple[Problem, ...] = ()
    mapped: Mapping[str, str] = field(default_factory=dict)
    own_columns: tuple[str, ...] = ()
    fitted: tuple[tuple[str, str], ...] = ()

    @property
    def row_count(self) -> int:
        """How many rows there are, each take counted."""
        return len(self.rows) if self.same_as is None else self.same_as.row_count


@dataclass(frozen=True, slots=True, kw_only=True)
class LastImport:
    """The file that was imported last: since then no row of the table is another."""

    path: Path
    sha256: str
    reading: str
    row_count: int

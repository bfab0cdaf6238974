"""A manifest and its rows, one by one or column by column.

A manifest may have a million rows, so as little as possible is created per row.
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
    """The contents of rows, column by column: the arguments of ``content_key`` except the take."""

    commons: Sequence[str]
    prompts: Sequence[str]
    starts: Sequence[str]
    ends: Sequence[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """The common part of jobs that differ only in prompt, frames and take.

    Thousands of rows share one kind. The price is for one clip.
    """

    endpoint: str
    parameters: Mapping[str, str] = field(hash=False)
    price_usd: Decimal


class Row(NamedTuple):
    """One checked row of a manifest and its job.

    ``number`` is the row number of a spreadsheet (the header is row 1). ``start_image`` and
    ``end_image`` are the texts of the manifest; sources and digests belong to the frames found
    there. ``extra`` holds the columns that the endpoint does not use; they are copied to the
    export. ``output`` is the requested name of the clip with its folders, or empty. It is a flat
    tuple because there may be a million rows.
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
        """The columns that are copied to the export, in the order of the file."""
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
"""Consecutive rows, column by column: one column per field of ``Row``."""


def rows_of(columns: Columns) -> Iterator[Row]:
    """Yield rows one by one."""
    return map(Row._make, zip(*(columns[name] for name in Row._fields), strict=True))


class Rows(Protocol):
    """Rows that can be read repeatedly without being in memory."""

    def __len__(self) -> int:
        """Count the rows, each take separately."""

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows one by one."""

    def columns(self) -> Iterator[Columns]:
        """Yield the rows in batches, which is much faster for a million rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest file, read and checked, with its warnings.

    ``mapped`` maps columns of the file to the standard columns they were matched with;
    ``own_columns`` are the user's additional columns. ``fitted`` lists the frames replaced by
    fitted copies, with the changes to each. ``reading`` is a digest of everything that turned the
    file's bytes into these rows. It is None if the same bytes may give other rows later.
    """

    path: Path
    sha256: str
    rows: Rows
    reading: str | None = None
    same_as: "LastImport | None" = None
    """The last import of the table, if it has exactly these rows; then ``rows`` is empty."""
    warnings: tuple[Problem, ...] = ()
    mapped: Mapping[str, str] = field(default_factory=dict)
    own_columns: tuple[str, ...] = ()
    fitted: tuple[tuple[str, str], ...] = ()

    @property
    def row_count(self) -> int:
        """The number of rows; each take counts."""
        return len(self.rows) if self.same_as is None else self.same_as.row_count


@dataclass(frozen=True, slots=True, kw_only=True)
class LastImport:
    """The most recent import: no row of the table has changed since then."""

    path: Path
    sha256: str
    reading: str
    row_count: int

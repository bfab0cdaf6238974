"""Read tables with typed cells into sheets: Parquet, workbooks and pandas DataFrames.

Their libraries are imported only when needed: pandas alone takes half a second.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tweenbatch.errors import Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.formats import values as cells
from tweenbatch.manifest.formats.bounds import Problems, refuse_header
from tweenbatch.manifest.formats.sheet import Line, Sheet
from tweenbatch.manifest.formats.source import Format, Source

if TYPE_CHECKING:
    import pandas as pd

HEADER_ROW = 1


class Table(NamedTuple):
    """A header and its numbered rows."""

    header: Sequence[str]
    rows: Iterator[tuple[int, Sequence[Any]]]
    warnings: Sequence[Problem] = ()


def load(source: Source) -> Sheet:
    """Return the file's sheet; raise ``ManifestError``."""
    read = _parquet if source.format is Format.PARQUET else _workbook
    try:
        table = read(source)
    except ImportError as error:
        raise source.refuse(
            f"reading {source.format} needs more packages: pip install 'tweenbatch[tables]'"
        ) from error
    refuse_header(table.header)
    return replace(_sheet(source.path, source.sha256, table), allowance=source.allowance)


def of_dataframe(frame: "pd.DataFrame", path: Path) -> Sheet:
    """Return the sheet of a DataFrame; its first row is row 2, below the header."""
    import pandas as pd

    digest = hashlib.sha256(repr(list(frame.columns)).encode())
    digest.update(pd.util.hash_pandas_object(frame.astype(str), index=False).to_numpy().tobytes())
    values = frame.astype(object)
    rows = values.where(frame.notna(), None).itertuples(index=False, name=None)
    header = [str(name) for name in frame.columns]
    return _sheet(path, digest.hexdigest(), Table(header, enumerate(rows, HEADER_ROW + 1)))


def _parquet(source: Source) -> Table:
    from tweenbatch.manifest.formats import parquet

    names, rows = parquet.rows(source.file, source.allowance)
    return Table(names, enumerate(rows, HEADER_ROW + 1))


def _workbook(source: Source) -> Table:
    """Read the first visible sheet with our columns in its header, or else the first filled one."""
    from tweenbatch.manifest.formats import workbook

    tables: dict[str, Table] = {}
    for sheet in workbook.sheets(source.file, source.allowance):
        header = next((row for _, row in sheet.rows if any(map(_filled, row))), None)
        if header is not None:
            tables[sheet.name] = Table([cells.text_of(value, "") for value in header], sheet.rows)
    if not tables:
        raise source.refuse("the workbook has no visible sheet with rows; unhide or fill one")
    name = next(filter(lambda each: _is_ours(tables[each]), tables), next(iter(tables)))
    table = tables.pop(name)
    return table._replace(warnings=list(_left_out(name, tables)))


def _is_ours(table: Table) -> bool:
    return any(columns.canonical(name) in columns.REQUIRED for name in table.header)


def _left_out(read: str, others: Mapping[str, Table]) -> Iterator[Problem]:
    """Warn of sheets that are not read; only a hint if none of them has our columns."""
    if others:
        names = ", ".join(f"'{name}'" for name in others)
        kind = "sheets" if any(map(_is_ours, others.values())) else "hint: sheets"
        message = f"only sheet '{read}' is read, not {names}; save other sheets as separate files"
        yield Problem(message=message, kind=kind)


def _filled(value: object) -> bool:
    return value is not None and bool(str(value).strip())


def _sheet(path: Path, sha256: str, table: Table) -> Sheet:
    problems = Problems(path)
    return Sheet(
        path=path,
        sha256=sha256,
        header=tuple(table.header),
        lines=_lines(table.header, table.rows, problems),
        problems=problems,
        warnings=table.warnings,
    )


def _lines(
    header: Sequence[str], rows: "Iterator[tuple[int, Sequence[Any]]]", problems: list[Problem]
) -> Iterator[Line]:
    for number, row in rows:
        texts, good = [], True
        # A row of a workbook ends with its last filled cell.
        for name, value in zip_longest(header, row):
            try:
                texts.append("" if value is None else cells.text_of(value, name))
            except cells.NotText as error:
                problems.append(cells.problem(error, name, row=number, line=None))
                good = False
        if good:
            yield Line(number, None, texts)

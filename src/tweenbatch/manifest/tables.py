"""Tables whose cells are more than text become sheets: Parquet, workbooks, pandas' DataFrames.

Their libraries are imported here and nowhere on the way of a text file: pandas alone costs half
a second.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweenbatch.errors import Problem
from tweenbatch.manifest import cells, columns
from tweenbatch.manifest.sheet import Line, Sheet
from tweenbatch.manifest.source import Format, Source

if TYPE_CHECKING:
    import pandas as pd

HEADER_ROW = 1
PART = 5_000
"""Rows that are read at once."""

_LABELS = re.compile(r"__index_level_\d+__")

Table = tuple[Sequence[str], Iterator[tuple[int, Sequence[Any]]]]
"""A header and its numbered rows."""


def load(source: Source) -> Sheet:
    """Return what the file holds; raise ``ManifestError``."""
    read = _parquet if source.format is Format.PARQUET else _workbook
    try:
        header, rows = read(source)
    except ImportError as error:
        raise source.refuse(
            f"{source.format} needs more than is installed: pip install 'tweenbatch[tables]'"
        ) from error
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise source.refuse(f"can't be read as {source.format} ({said})") from error
    return _sheet(source.path, source.sha256, header, rows)


def of_dataframe(frame: "pd.DataFrame", path: Path) -> Sheet:
    """Return what a DataFrame holds; its first row counts as row 2, below the header."""
    import pandas as pd

    digest = hashlib.sha256(repr(list(frame.columns)).encode())
    digest.update(pd.util.hash_pandas_object(frame.astype(str), index=False).to_numpy().tobytes())
    values = frame.astype(object)
    rows = values.where(frame.notna(), None).itertuples(index=False, name=None)
    header = [str(name) for name in frame.columns]
    return _sheet(path, digest.hexdigest(), header, enumerate(rows, HEADER_ROW + 1))


def _parquet(source: Source) -> Table:
    """Read in parts: a file of a million rows is never whole in memory."""
    from pyarrow import parquet  # type: ignore[import-untyped]

    file = parquet.ParquetFile(source.file)
    # pandas writes the labels of rows as one more column.
    names = [name for name in file.schema_arrow.names if not _LABELS.fullmatch(name)]
    rows = (
        tuple(item.values())
        for part in file.iter_batches(batch_size=PART, columns=names)
        for item in part.to_pylist()
    )
    return names, enumerate(rows, HEADER_ROW + 1)


def _workbook(source: Source) -> Table:
    """Read the first sheet that has a header with our columns, or else the first filled one."""
    import openpyxl

    values = openpyxl.load_workbook(source.file, read_only=True, data_only=True)
    source.file.seek(0)
    formulas = openpyxl.load_workbook(source.file, read_only=True)
    found: Table | None = None
    for name in values.sheetnames:
        rows = _told(values[name], formulas[name])
        header = next(((at, row) for at, row in rows if any(map(_filled, row))), None)
        if header is None:
            continue
        names = [cells.text_of(value, "") for value in header[1]]
        ours = any(columns.canonical(each) in columns.REQUIRED for each in names)
        if found is None or ours:
            found = names, rows
        if ours:
            break
    if found is None:
        raise source.refuse("there is nothing in the workbook")
    return found


def _told(values: Any, formulas: Any) -> "Iterator[tuple[int, Sequence[Any]]]":
    """Yield numbered rows; a formula that was never worked out stays a formula."""
    if not hasattr(values, "iter_rows"):  # a sheet that is one picture
        return
    pairs = zip(
        values.iter_rows(values_only=True), formulas.iter_rows(values_only=True), strict=False
    )
    for number, (row, written) in enumerate(pairs, 1):
        yield (
            number,
            tuple(
                cells.Unworked() if value is None and str(formula or "").startswith("=") else value
                for value, formula in zip(row, written, strict=False)
            ),
        )


def _filled(value: object) -> bool:
    return value is not None and bool(str(value).strip())


def _sheet(
    path: Path, sha256: str, header: Sequence[str], rows: "Iterator[tuple[int, Sequence[Any]]]"
) -> Sheet:
    problems: list[Problem] = []
    return Sheet(
        path=path,
        sha256=sha256,
        header=tuple(header),
        lines=_lines(header, rows, problems),
        problems=problems,
    )


def _lines(
    header: Sequence[str], rows: "Iterator[tuple[int, Sequence[Any]]]", problems: list[Problem]
) -> Iterator[Line]:
    for number, row in rows:
        texts, good = [], True
        for name, value in zip(header, row, strict=True):
            try:
                texts.append(cells.text_of(value, name))
            except cells.NotText as error:
                problems.append(cells.problem(error, name, row=number, line=None))
                good = False
        if good:
            yield Line(number, None, texts)

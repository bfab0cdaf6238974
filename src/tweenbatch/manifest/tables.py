"""Tables that pandas reads become sheets: Parquet, the first sheet of a workbook, a DataFrame.

pandas is imported here and nowhere on the way of a text file: it costs half a second.
"""

import hashlib
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


def load(source: Source) -> Sheet:
    """Return what the file holds; raise ``ManifestError``."""
    read = _parquet if source.format is Format.PARQUET else _workbook
    try:
        header, numbers, rows = read(source)
    except ImportError as error:
        raise source.refuse(
            f"{source.format} needs more than is installed: pip install 'tweenbatch[tables]'"
        ) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise source.refuse(f"can't be read as {source.format} ({said})") from error
    return _sheet(source.path, source.sha256, header, zip(numbers, rows, strict=True))


def of_dataframe(frame: "pd.DataFrame", path: Path) -> Sheet:
    """Return what a DataFrame holds; its first row counts as row 2, below the header."""
    import pandas as pd

    digest = hashlib.sha256(repr(list(frame.columns)).encode())
    digest.update(pd.util.hash_pandas_object(frame.astype(str), index=False).to_numpy().tobytes())
    rows = _rows(frame)
    header = [str(name) for name in frame.columns]
    return _sheet(path, digest.hexdigest(), header, enumerate(rows, HEADER_ROW + 1))


def _parquet(source: Source) -> "tuple[list[str], Sequence[int], Iterator[Sequence[Any]]]":
    import pandas as pd

    frame = pd.read_parquet(source.file, engine="pyarrow")
    rows = _rows(frame)
    numbers = range(HEADER_ROW + 1, HEADER_ROW + 1 + len(frame))
    return [str(name) for name in frame.columns], numbers, rows


def _rows(frame: "pd.DataFrame") -> "Iterator[Sequence[Any]]":
    """Yield the rows; what pandas has for nothing becomes None."""
    values = frame.astype(object)
    return values.where(frame.notna(), None).itertuples(index=False, name=None)


def _workbook(source: Source) -> "tuple[list[str], Sequence[int], Iterator[Sequence[Any]]]":
    """Read the first sheet that has a header with our columns, or else the first one."""
    import pandas as pd

    with pd.ExcelFile(source.file, engine="openpyxl") as book:
        found = None
        for name in book.sheet_names:
            frame = pd.read_excel(
                book, sheet_name=name, header=None, dtype=object, keep_default_na=False
            )
            rows = list(_rows(frame))
            place = next((at for at, row in enumerate(rows) if any(map(_filled, row))), None)
            if place is None:
                continue
            header = [cells.text_of(value, "") for value in rows[place]]
            if found is None or any(columns.canonical(each) in columns.REQUIRED for each in header):
                found = header, rows, place
                if any(columns.canonical(each) in columns.REQUIRED for each in header):
                    break
    if found is None:
        raise source.refuse("there is nothing in the workbook")
    header, rows, place = found
    numbers = range(place + 2, len(rows) + 1)
    return header, numbers, iter(rows[place + 1 :])


def _filled(value: object) -> bool:
    return bool(cells.text_of(value, "").strip())


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

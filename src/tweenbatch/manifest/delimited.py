"""A text file with separated columns becomes a sheet."""

import csv
import hashlib
import io
import warnings
from pathlib import Path

import pandas as pd

from tweenbatch.errors import ManifestError, Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.sheet import Sheet

HEADER_ROWS = 1


def load(path: Path) -> Sheet:
    """Return what a CSV file holds; raise ``ManifestError``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(path, [Problem(message=_unreadable(path, error))]) from error
    cells = _cells(path, data)
    return Sheet(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        cells=cells,
        numbers=range(HEADER_ROWS + 1, HEADER_ROWS + 1 + len(cells)),
        lines=_first_lines(cells),
    )


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    if path.is_dir():
        return "this is a folder; name the manifest file in it"
    return f"can't be read ({error.strerror})"


def _cells(path: Path, data: bytes) -> pd.DataFrame:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = (
            f"byte {error.start + 1} on line {line} is not UTF-8; save the file as 'CSV UTF-8'"
        )
        raise ManifestError(path, [Problem(message=message)]) from error
    if not text.strip():
        raise ManifestError(path, [Problem(message="the file is empty")])
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ManifestError(
            path, [Problem(message=f"there is a NUL byte on line {line}; this is no text file")]
        )
    header = next(csv.reader(io.StringIO(text)))
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            message = f"the columns are separated by {name}; save the file with commas"
            raise ManifestError(path, [Problem(message=message)])
    duplicates = columns.duplicates(header)
    if duplicates:
        raise ManifestError(
            path,
            [Problem(message="appears twice in the header", column=name) for name in duplicates],
        )
    return _parse(path, text)


def _parse(path: Path, text: str) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # A first row that is longer than the header is only warned of, and cut.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text),
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                skip_blank_lines=False,
                index_col=False,
            )
    except pd.errors.ParserWarning as error:
        message = "the rows have more cells than the header; put quotes round texts with commas"
        raise ManifestError(path, [Problem(message=message)]) from error
    except pd.errors.ParserError as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        message = f"this is no well-formed CSV: {reason}; put quotes round texts with commas"
        raise ManifestError(path, [Problem(message=message)]) from error


def _first_lines(table: pd.DataFrame) -> list[int]:
    """A quoted cell may hold line breaks, so rows and lines drift apart."""
    breaks = pd.Series(0, index=table.index)
    for name in table.columns:
        breaks += table[name].str.count("\n")
    header_lines = HEADER_ROWS + sum(str(name).count("\n") for name in table.columns)
    before = breaks.cumsum().shift(fill_value=0)
    return [int(drift) + index + 1 + header_lines for index, drift in enumerate(before)]

"""Open a manifest: its bytes, its format and its text encoding.

It does not know how to read a format.
"""

import codecs
import errno
import hashlib
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

from tweenbatch.errors import ManifestError, Problem
from tweenbatch.manifest.formats.bounds import Allowance

STDIN = Path("-")
"""The argument for standard input."""

STDIN_NAME = "<stdin>"
"""Name of standard input in messages and the job table, as a file in the current folder."""

_LINE_END = re.compile(r"\r\n|\r|\n")
BLOCK = 1 << 20


class Format(StrEnum):
    """A file format of manifests."""

    DELIMITED = "text with separated columns"
    JSON_LINES = "JSON lines"
    JSON = "a JSON array"
    PARQUET = "Parquet"
    XLSX = "XLSX"


_BY_SUFFIX = {
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".json": Format.JSON,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".xlsx": Format.XLSX,
    ".xlsm": Format.XLSX,
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt"), Format.DELIMITED),
}
_BY_CONTENT = (
    (b"PAR1", Format.PARQUET),
    (b"PK\x03\x04", Format.XLSX),
    (b"[", Format.JSON),
    (b"{", Format.JSON_LINES),
)
_OLD = {
    ".xls": "an old Excel workbook",
    ".ods": "an OpenDocument table",
    ".numbers": "a Numbers table",
}
SUFFIXES = frozenset(_BY_SUFFIX) | frozenset(_OLD)
"""Suffixes of manifests; some are listed only to explain that they can't be read."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An open, seekable manifest."""

    path: Path
    file: io.BufferedIOBase
    format: Format
    sha256: str
    allowance: Allowance

    def refuse(self, message: str, *, line: int | None = None) -> ManifestError:
        """Return the error for a problem of the whole file."""
        return ManifestError(self.path, [Problem(message=message, line=line)])

    def refuse_all(self, problems: list[Problem]) -> ManifestError:
        """Return the error for several problems of the file."""
        return ManifestError(self.path, problems)

    def text(self) -> Iterator[str]:
        """Yield the lines with their line ends; raise ``ManifestError`` if the file isn't text."""
        start = self.file.read(max(len(mark) for mark, _ in _MARKS))
        self.file.seek(0)
        encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
        lines = io.TextIOWrapper(cast("BinaryIO", self.file), encoding=encoding, newline="")
        try:
            for number, line in enumerate(lines, 1):
                if "\0" in line:
                    raise self._with_nul(number)
                yield line
        except UnicodeDecodeError as error:
            raise self._undecodable(encoding) from error
        finally:
            if not self.file.closed:  # the caller may have stopped reading and closed it
                lines.detach()

    def _with_nul(self, line: int) -> ManifestError:
        self.file.seek(0)
        some = self.file.read(8)[4:]  # after any byte order mark
        what = "this isn't a text file"
        if b"\0\0" in (some[::2], some[1::2]):
            what = (
                "this may be UTF-16 or UTF-32 without a byte order mark; save the file as "
                "'CSV UTF-8'"
            )
        return self.refuse(f"there is a NUL byte on line {line}; {what}")

    def _undecodable(self, encoding: str) -> ManifestError:
        decoder = codecs.getincrementaldecoder(encoding)()
        self.file.seek(0)
        before, line = 0, 1
        for block in iter(lambda: self.file.read(BLOCK), b""):
            left = len(decoder.getstate()[0])
            try:
                line += _line_ends(decoder.decode(block))
            except UnicodeDecodeError as error:
                byte = before - left + error.start + 1
                line += _line_ends(error.object[: error.start].decode(encoding, "ignore"))
                return self._not_text(f"byte {byte} of the file, on line {line},", encoding)
            before += len(block)
        return self._not_text(f"byte {before}, the last of the file, on line {line},", encoding)

    def _not_text(self, where: str, encoding: str) -> ManifestError:
        name = "UTF-16" if encoding == "utf-16" else "UTF-8"
        return self.refuse(f"{where} is not {name}; save the file as 'CSV UTF-8'")


def _line_ends(text: str) -> int:
    return len(_LINE_END.findall(text))


def named(path: Path) -> Path:
    """Return the path of a manifest for messages and the job table."""
    return Path.cwd() / STDIN_NAME if path == STDIN else path


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a manifest; raise ``ManifestError``."""
    called = named(path)
    if not _is_text(called):
        message = "the name of the file or its folder isn't UTF-8; rename it"
        raise ManifestError(called, [Problem(message=message)])
    try:
        file = _seekable(path)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        allowance = Allowance.of(file.tell())
        file.seek(0)
    except OSError as error:
        raise ManifestError(called, [Problem(message=_unreadable(called, error))]) from error
    with file:
        form = _format(called, file)
        yield Source(path=called, file=file, format=form, sha256=digest, allowance=allowance)


def _is_text(path: Path) -> bool:
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _seekable(path: Path) -> io.BufferedIOBase:
    """Open a manifest so that it can be read again: a pipe is copied to a file first."""
    if path == STDIN:
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:  # a service manager may start us without one
            raise OSError(errno.EBADF, "there is no standard input")
    else:
        stream = path.open("rb")
        if stream.seekable():
            return stream
    kept = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        shutil.copyfileobj(stream, kept)
        kept.seek(0)
    except BaseException:
        kept.close()
        raise
    return cast("io.BufferedIOBase", kept)


def _format(path: Path, file: io.BufferedIOBase) -> Format:
    suffix = path.suffix.lower()
    if suffix in _OLD:
        message = f"{_OLD[suffix]} can't be read; save it as XLSX or as 'CSV UTF-8'"
        raise ManifestError(path, [Problem(message=message)])
    by_suffix = _BY_SUFFIX.get(suffix)
    start = file.read(BLOCK)
    file.seek(0)
    if not start:
        raise ManifestError(path, [Problem(message="the file is empty")])
    if by_suffix is not None:
        return by_suffix
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = start.decode("utf-16", "ignore").encode("utf-8", "replace").lstrip()
    return next((form for mark, form in _BY_CONTENT if text.startswith(mark)), Format.DELIMITED)


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file does not exist; check the path"
    if path.is_dir():
        return "this is a folder; name the manifest file in it"
    return f"can't be read ({error.strerror or error})"

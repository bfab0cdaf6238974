"""Standard streams that never fail, and text that can't control a terminal.

A reader that closes the pipe (``| head``), a full disk or a closed descriptor costs lines, never a
run.
"""

import io
import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO, cast

from tweenbatch.printable import printable_lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT, STDERR = 1, 2


class _Tolerant(io.FileIO):
    """A descriptor that accepts all data, even if it can't be written."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Return the number of bytes accepted; drop those that can't be written."""
        size = memoryview(data).nbytes
        try:
            written: int | None = super().write(data)
        except OSError:
            return size
        return size if written is None else written


class PlainFormatter(logging.Formatter):
    """Formats log lines so that text from outside can't control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines with printable characters only."""
        return printable_lines(super().format(record))


def visible(file: TextIO) -> TextIO:
    """Return a file that writes only the printable characters of a text to this one."""
    return cast("TextIO", _Visible(file))


class _Visible(io.TextIOBase):
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(printable_lines(text))
        return len(text)


def hold_standard_descriptors() -> None:
    """Open closed standard descriptors on the null device, or a table could become stderr."""
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= STDERR:
        opened = os.dup(opened)
    os.close(opened)
    if sys.stdin is None:
        sys.stdin = io.StringIO()


def never_fail(descriptor: int) -> None:
    """Make writes to stdout or stderr succeed, with any reader and any encoding."""
    name = {STDOUT: "stdout", STDERR: "stderr"}[descriptor]
    before: TextIO | None = getattr(sys, name)  # None if it was closed before the start
    stream = io.TextIOWrapper(
        io.BufferedWriter(_Tolerant(descriptor, "w", closefd=False)),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    setattr(sys, name, stream)

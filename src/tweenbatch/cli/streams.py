"""Standard streams that never stop the work: nobody has to listen, and nothing can steer a screen.

A reader that goes (``| head``), a full disk or a closed descriptor loses lines, never a run.
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
    """A descriptor that takes everything, also where it can't be written."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Return how much was taken: what can't be delivered is let go."""
        size = memoryview(data).nbytes
        try:
            written: int | None = super().write(data)
        except OSError:
            return size
        return size if written is None else written


class PlainFormatter(logging.Formatter):
    """Log lines in which text from outside can't steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines with nothing in them but what can be seen."""
        return printable_lines(super().format(record))


def visible(file: TextIO) -> TextIO:
    """Return a file that passes on to this one what can be seen of a text."""
    return cast("TextIO", _Visible(file))


class _Visible(io.TextIOBase):
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(printable_lines(text))
        return len(text)


def hold_standard_descriptors() -> None:
    """Occupy closed standard descriptors, or a table could be opened as stderr."""
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= STDERR:
        opened = os.dup(opened)
    os.close(opened)
    if sys.stdin is None:
        sys.stdin = io.StringIO()


def never_fail(descriptor: int) -> None:
    """Let writes to stdout or stderr succeed, whoever listens and in whatever encoding."""
    name = {STDOUT: "stdout", STDERR: "stderr"}[descriptor]
    before: TextIO | None = getattr(sys, name)  # None where it was closed before we began
    stream = io.TextIOWrapper(
        io.BufferedWriter(_Tolerant(descriptor, "w", closefd=False)),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    setattr(sys, name, stream)

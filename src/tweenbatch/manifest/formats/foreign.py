"""The border to foreign readers: whatever they raise becomes one line about the file.

A damaged file makes ``csv``, ``json``, ``zipfile``, expat, openpyxl or Arrow raise nearly
anything, also long after the file was opened, and another release raises something else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tweenbatch.errors import TweenbatchError
from tweenbatch.manifest.formats.bounds import OutOfBounds
from tweenbatch.manifest.formats.sheet import Line, Sheet
from tweenbatch.manifest.formats.source import Source

MOST_CHARS_SAID = 200


def load(reader: Callable[[Source], Sheet], source: Source) -> Sheet:
    """Return what the file holds; that and every row of it raise ``ManifestError`` at most."""
    with one_line(source):
        sheet = reader(source)
        return replace(sheet, lines=_lines(source, sheet.lines))


def _lines(source: Source, lines: Iterator[Line]) -> Iterator[Line]:
    with one_line(source):
        yield from lines


@contextmanager
def one_line(source: Source) -> Iterator[None]:
    """Raise ``ManifestError`` for what a reader raises; our own errors pass."""
    try:
        yield
    except TweenbatchError:
        raise
    except OutOfBounds as error:
        raise source.refuse(str(error)) from error
    except MemoryError as error:
        raise source.refuse("there is not enough memory to read it; split the file") from error
    except RecursionError as error:
        raise source.refuse("is nested too deeply; flat rows are needed") from error
    except Exception as error:  # a process boundary: no list of these errors is complete
        raise source.refuse(
            f"can't be read as {source.format} ({_said(error)}); it may be damaged, so save or "
            "copy it again"
        ) from error


def _said(error: Exception) -> str:
    """Return the first line of a library's message, or what kind of error it is."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = next(filter(None, lines), type(error).__name__)
    return said if len(said) <= MOST_CHARS_SAID else f"{said[:MOST_CHARS_SAID]}…"

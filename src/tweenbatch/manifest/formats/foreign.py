"""Turn every exception of a library that reads manifests into one line about the file.

A damaged file makes ``csv``, ``json``, ``zipfile``, expat, openpyxl or Arrow raise almost any
exception, even long after opening, and each release raises others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tweenbatch.errors import TweenbatchError
from tweenbatch.manifest.formats.bounds import OutOfBounds
from tweenbatch.manifest.formats.sheet import Line, Sheet
from tweenbatch.manifest.formats.source import Source

MOST_CHARS_SHOWN = 200


def load(reader: Callable[[Source], Sheet], source: Source) -> Sheet:
    """Return the file's sheet; reading it and its rows raises only ``ManifestError``."""
    with one_line(source):
        sheet = reader(source)
        return replace(sheet, lines=_lines(source, sheet.lines))


def _lines(source: Source, lines: Iterator[Line]) -> Iterator[Line]:
    with one_line(source):
        yield from lines


@contextmanager
def one_line(source: Source) -> Iterator[None]:
    """Raise ``ManifestError`` for any exception of a reader; our own errors pass."""
    try:
        yield
    except TweenbatchError:
        raise
    except OutOfBounds as error:
        raise source.refuse(str(error)) from error
    except MemoryError as error:
        raise source.refuse("there isn't enough memory to read it; split the file") from error
    except RecursionError as error:
        raise source.refuse("is nested too deeply; expected flat rows") from error
    except Exception as error:  # a process boundary: no list of these errors is complete
        raise source.refuse(
            f"can't be read as {source.format} ({_first_line(error)}); it may be damaged: save or "
            "copy it again"
        ) from error


def _first_line(error: Exception) -> str:
    """Return the first line of a library's message, or the type of the error."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = next(filter(None, lines), type(error).__name__)
    return text if len(text) <= MOST_CHARS_SHOWN else f"{text[:MOST_CHARS_SHOWN]}…"

"""Write the results file: one line for each manifest row, with its state, files and cost."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tweenbatch.files import atomic
from tweenbatch.files.csv_injection import all_guarded
from tweenbatch.records import ExportRow

COLUMNS = ExportRow._fields[:-1]

REDACTED = ("prompt", "start_image", "end_image", "video_url", "request_id", "error_message")
"""The columns that a shared file leaves empty: the content, and addresses anyone can open."""

_BEGINNINGS = (",".join(COLUMNS[:4]).encode(), f'{{"{COLUMNS[0]}": '.encode())
"""How the first line of a results file begins, as CSV and as JSON lines."""
_LONGEST_BEGINNING = max(map(len, _BEGINNINGS))

_NO_TEXTS = frozenset(
    {
        *("row", "take", "bytes", "seconds", "width", "height", "attempts", "cost_usd"),
        "finished_at",
    }
)
"""Columns of numbers and instants, which need neither a guard nor quotes."""

PAGE = 500
"""The number of rows of a CSV file that are formatted together, column by column.

The cells of more rows would not fit into a core's cache."""

Writer = Callable[[Iterable[ExportRow], TextIO], int]


def own_columns(extra: Iterable[str]) -> list[str]:
    """Return the manifests' own columns, which follow the fixed ones.

    A column named like a fixed one is left out: usually it comes from an earlier export.
    """
    return [name for name in extra if name.strip().lower() not in COLUMNS]


def may_be_overwritten(path: Path) -> bool:
    """Return whether the path holds a results file, an empty file or none: a person's file is kept.

    Raises ``NotRegular``.
    """
    try:
        with atomic.opened(path) as file:
            first = file.read(_LONGEST_BEGINNING)
            return not first or first.startswith(_BEGINNINGS)
    except FileNotFoundError:
        return True
    except PermissionError:
        return False


def write_file(rows: Iterable[ExportRow], path: Path, write: Writer) -> int:
    """Write the file atomically, so that a reader never sees half of it; return the row count.

    The umask decides who may read it, because the file is meant to be shared, as clips are. The
    table and other internal files are readable only by their owner.
    """
    atomic.clear_leftovers(path)
    with atomic.writing_text(path) as file:
        return write(rows, file)


def csv(
    rows: Iterable[ExportRow], file: TextIO, *, extra: Iterable[str] = (), raw: bool = False
) -> int:
    """Write the rows as CSV, page by page; return their number.

    ``extra`` are the manifests' own columns, written after the fixed ones.

    A text that begins like a formula gets a leading ', which is removed when the file is read as a
    manifest; ``raw`` adds none.
    """
    own = own_columns(extra)
    shown: Callable[[list[str]], list[str]] = list if raw else all_guarded
    file.write(",".join(_quoted(shown([*COLUMNS, *own]))) + "\n")
    count = 0
    coming = iter(rows)
    while page := list(islice(coming, PAGE)):
        columns = [
            _as_texts(values) if name in _NO_TEXTS else _quoted(shown(_texts(values)))
            for name, values in _columns(page, own)
        ]
        file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))
        count += len(page)
    return count


def _columns(page: Iterable[ExportRow], own: Iterable[str]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield each column with its name: the fixed ones, then those of manifests."""
    *fixed, extras = zip(*page, strict=True)
    yield from zip(COLUMNS, fixed, strict=True)
    for name in own:
        yield name, [extra.get(name) for extra in extras]


def _as_texts(values: Iterable[Any]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _texts(values: Iterable[str | None]) -> list[str]:
    return [value or "" for value in values]


def _quoted(texts: list[str]) -> list[str]:
    """Return the cells of a column, quoted if they contain a separator.

    Most columns need no quotes, which one search in their joined text shows. The csv module checks
    each character of each cell, which would take a third of the time of an export.
    """
    if not _needs_quotes("".join(texts)):
        return texts
    return ['"' + text.replace('"', '""') + '"' if _needs_quotes(text) else text for text in texts]


def _needs_quotes(text: str) -> bool:
    return "," in text or '"' in text or "\n" in text or "\r" in text


def jsonl(rows: Iterable[ExportRow], file: TextIO, *, extra: Iterable[str] = ()) -> int:
    """Write the rows as one JSON object a line; return their number.

    ``extra`` are the manifests' own columns, written after the fixed ones.
    """
    names = (*COLUMNS, *(own := own_columns(extra)))
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the count is the answer
        cells = dict(zip(names, (*row[:-1], *map(row.extra.get, own)), strict=True))
        file.write(json.dumps(cells, default=str, ensure_ascii=False) + "\n")
    return count


def redacted(rows: Iterable[ExportRow]) -> Iterator[ExportRow]:
    """Return the rows with the columns in ``REDACTED`` and the manifests' own columns empty."""
    empty: dict[str, Any] = dict.fromkeys(REDACTED, "")
    return (row._replace(**empty, extra=dict.fromkeys(row.extra, "")) for row in rows)

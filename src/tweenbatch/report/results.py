"""The results file: one line for each manifest row, with what became of it."""

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
"""What a shared file must not tell: what was asked for, and addresses that anybody may open."""

_BEGINNINGS = (",".join(COLUMNS[:4]).encode(), f'{{"{COLUMNS[0]}": '.encode())
"""Of the first line of a results file, as CSV and as JSON lines."""
_LONGEST_BEGINNING = max(map(len, _BEGINNINGS))

_NO_TEXTS = frozenset(
    {
        *("row", "take", "bytes", "seconds", "width", "height", "attempts", "cost_usd"),
        "finished_at",
    }
)
"""Columns of numbers and instants, which need neither a guard nor quotes."""

PAGE = 500
"""How many rows of a CSV file are made into cells together, column by column.

Of more the cells do not stay in a core's cache."""

Writer = Callable[[Iterable[ExportRow], TextIO], int]


def own_columns(extra: Iterable[str]) -> list[str]:
    """Return the columns of manifests that stand behind the fixed ones, which come first.

    One that is called like a fixed column stays out: mostly it is one, of an earlier export.
    """
    return [name for name in extra if name.strip().lower() not in COLUMNS]


def may_be_overwritten(path: Path) -> bool:
    """Tell whether the file is ours, or there is nothing in it; a person's is worth something.

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
    """Write the file in one step, so that a reader never sees half of it; return the rows.

    Like the clips it is made to be handed on, so the umask says who may read it; the table
    and all that only we read back is the owner's alone.
    """
    atomic.clear_leftovers(path)
    with atomic.writing_text(path) as file:
        return write(rows, file)


def csv(
    rows: Iterable[ExportRow], file: TextIO, *, extra: Iterable[str] = (), raw: bool = False
) -> int:
    """Write the rows as CSV, page by page; return how many there were.

    ``extra`` are the manifests' columns to write behind the fixed ones.

    A text that begins like a formula gets a ' in front, which a manifest loses again when it
    is read; ``raw`` leaves it out.
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
    """Return the cells of a column: in quotes where a reader would take a text apart.

    Most columns need none, which is seen at once in all of their text. The csv module looks at each
    character of each cell, which would take a third of the time of an export.
    """
    if not _needs_quotes("".join(texts)):
        return texts
    return ['"' + text.replace('"', '""') + '"' if _needs_quotes(text) else text for text in texts]


def _needs_quotes(text: str) -> bool:
    return "," in text or '"' in text or "\n" in text or "\r" in text


def jsonl(rows: Iterable[ExportRow], file: TextIO, *, extra: Iterable[str] = ()) -> int:
    """Write the rows as one JSON object a line; return how many there were.

    ``extra`` are the manifests' columns to write behind the fixed ones.
    """
    names = (*COLUMNS, *(own := own_columns(extra)))
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the count is the answer
        cells = dict(zip(names, (*row[:-1], *map(row.extra.get, own)), strict=True))
        file.write(json.dumps(cells, default=str, ensure_ascii=False) + "\n")
    return count


def redacted(rows: Iterable[ExportRow]) -> Iterator[ExportRow]:
    """Return the rows with what ``REDACTED`` names, and the manifests' own columns, left empty."""
    empty: dict[str, Any] = dict.fromkeys(REDACTED, "")
    return (row._replace(**empty, extra=dict.fromkeys(row.extra, "")) for row in rows)

"""The results file: one line for each manifest row, with what became of it."""

import csv as csvfile
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tweenbatch.formulas import guarded
from tweenbatch.records import ExportRow

COLUMNS = ExportRow._fields[:-1]

REDACTED = ("prompt", "start_image", "end_image", "video_url", "request_id", "error_message")
"""What a shared file must not tell: what was asked for, and addresses that anybody may open."""

_BEGINNING = ",".join(COLUMNS[:4])

_CRLF = "\r\n"

Writer = Callable[[Iterable[ExportRow], TextIO], int]


def own_columns(extra: Iterable[str]) -> list[str]:
    """Return the columns of manifests that stand behind the fixed ones, which come first.

    One that is called like a fixed column stays out: mostly it is one, of an earlier export.
    """
    return [name for name in extra if name.strip().lower() not in COLUMNS]


def may_be_overwritten(path: Path) -> bool:
    """Tell whether the file is ours, or there is none; a person's own is worth something."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.readline().startswith(_BEGINNING)
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError):
        return False


def write_file(rows: Iterable[ExportRow], path: Path, write: Writer) -> int:
    """Write the file in one step, so that a reader never sees half of it; return the rows.

    Like the clips it is made to be handed on, so the umask says who may read it; the table
    and all that only we read back is the owner's alone.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            count = write(rows, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return count


def csv(
    rows: Iterable[ExportRow], file: TextIO, *, extra: Iterable[str] = (), raw: bool = False
) -> int:
    """Write the rows as CSV as they come; return how many there were.

    ``extra`` are the manifests' columns to write behind the fixed ones.

    A text that begins like a formula gets a ' in front, which a manifest loses again when it
    is read; ``raw`` leaves it out.
    """
    own = own_columns(extra)
    header = (*COLUMNS, *(own if raw else map(guarded, own)))
    writer = csvfile.writer(_Lines(file), lineterminator=_CRLF)
    writer.writerow(header)
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the count is the answer
        cells = _cells(row, own)
        writer.writerow(cells if raw else _guarded(cells))
    return count


@dataclass(frozen=True, slots=True)
class _Lines:
    """Ends lines with a line feed alone, though the writer ends them with CRLF.

    Before 3.13, Python leaves a CR without quotes that is not part of the line's end.
    """

    file: TextIO

    def write(self, line: str) -> int:
        return self.file.write(line.removesuffix(_CRLF) + "\n")


def _cells(row: ExportRow, own: Sequence[str]) -> tuple[Any, ...]:
    return (*row[:-1], *map(row.extra.get, own))


def _guarded(cells: Iterable[Any]) -> list[Any]:
    return [guarded(cell) if isinstance(cell, str) else cell for cell in cells]


def jsonl(rows: Iterable[ExportRow], file: TextIO, *, extra: Iterable[str] = ()) -> int:
    """Write the rows as one JSON object a line; return how many there were.

    ``extra`` are the manifests' columns to write behind the fixed ones.
    """
    names = (*COLUMNS, *(own := own_columns(extra)))
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the count is the answer
        cells = dict(zip(names, _cells(row, own), strict=True))
        file.write(json.dumps(cells, default=str, ensure_ascii=False) + "\n")
    return count


def redacted(rows: Iterable[ExportRow]) -> Iterator[ExportRow]:
    """Return the rows with what ``REDACTED`` names, and the manifests' own columns, left empty."""
    empty: dict[str, Any] = dict.fromkeys(REDACTED, "")
    return (row._replace(**empty, extra=dict.fromkeys(row.extra, "")) for row in rows)

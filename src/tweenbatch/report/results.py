"""The results file: one line for each manifest row, with what became of it."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TextIO

import pandas as pd

from tweenbatch.records import ExportRow

COLUMNS = (
    "manifest", "row", "name", "state", "take", "endpoint", "prompt", "start_image", "end_image",
    "duration", "request_id", "video_path", "video_url", "bytes", "sha256", "seconds", "width",
    "height", "attempts", "cost_usd", "billed", "error_type", "error_message", "finished_at",
)  # fmt: skip

CHUNK = 20_000

Writer = Callable[[Iterable[ExportRow], TextIO], int]


def write_file(rows: Iterable[ExportRow], path: Path, write: Writer) -> int:
    """Write the file in one step, so that a reader never sees half of it; return the rows."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        count = write(rows, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return count


def csv(rows: Iterable[ExportRow], file: TextIO) -> int:
    """Write the rows as CSV as they come; return how many there were."""
    header = ",".join(COLUMNS)
    file.write(f"{header}\n")
    count = 0
    for chunk in _chunks(iter(rows)):
        table = pd.DataFrame.from_records([asdict(row) for row in chunk], columns=COLUMNS)
        # As objects: whole numbers stay whole where some cells are empty.
        table.astype(object).to_csv(file, header=False, index=False)
        count += len(chunk)
    return count


def jsonl(rows: Iterable[ExportRow], file: TextIO) -> int:
    """Write the rows as one JSON object a line; return how many there were."""
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the count is the answer
        file.write(json.dumps(asdict(row), default=str, ensure_ascii=False) + "\n")
    return count


def _chunks(rows: Iterator[ExportRow]) -> Iterator[list[ExportRow]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk

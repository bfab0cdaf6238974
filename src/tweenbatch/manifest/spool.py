"""Checked rows, kept where they cost no memory: a million of them lie in a temporary file.

It knows how rows are stored and handed out again, and nothing of what they mean.
"""

import pickle
import tempfile
import weakref
from collections.abc import Collection, Iterator
from typing import IO, Any

from tweenbatch.records import Frame, JobSpec, Row

IN_MEMORY = 5_000
"""So many rows wait in memory before they are written; fewer never are."""


class Spool(Collection[Row]):
    """Rows in the order in which they were added; they can be read again and again.

    The file has no name, and ends with the spool or with the process.
    """

    def __init__(self) -> None:
        self._latest: list[Row] = []
        self._file: IO[bytes] | None = None
        self._written: list[int] = []
        """Where in the file each part begins."""
        self._count = 0

    def add(self, row: Row) -> None:
        """Append a row."""
        self._latest.append(row)
        self._count += 1
        if len(self._latest) == IN_MEMORY:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="tweenbatch-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            self._written.append(self._file.seek(0, 2))
            pickle.dump([_flat(each) for each in self._latest], self._file, protocol=5)
            self._latest.clear()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: object) -> bool:
        return any(each == row for each in self)

    def __iter__(self) -> Iterator[Row]:
        for offset in self._written:
            assert self._file is not None
            self._file.seek(offset)
            for flat in pickle.load(self._file):  # noqa: S301 - our own bytes
                yield _row(flat)
        yield from self._latest


def _flat(row: Row) -> tuple[Any, ...]:
    """Return what a row holds without the objects around it, which are slow to store."""
    spec = row.spec
    end = spec.end
    return (
        *(row.number, row.name, spec.endpoint, spec.prompt),
        *(spec.start.source, spec.start.sha256),
        *((end.source, end.sha256) if end else (None, None)),
        *(spec.parameters, spec.take, row.price_usd, row.start_image, row.end_image),
        *(row.priority, row.tags, row.extra, row.output),
    )


def _row(flat: tuple[Any, ...]) -> Row:
    number, name, endpoint, prompt, start, start_sha256, end, end_sha256, parameters, *rest = flat
    take, price_usd, start_image, end_image, priority, tags, extra, output = rest
    return Row(
        number=number,
        name=name,
        spec=JobSpec(
            endpoint=endpoint,
            prompt=prompt,
            start=Frame(source=start, sha256=start_sha256),
            end=None if end is None else Frame(source=end, sha256=end_sha256),
            parameters=parameters,
            take=take,
        ),
        price_usd=price_usd,
        start_image=start_image,
        end_image=end_image,
        priority=priority,
        tags=tags,
        extra=extra,
        output=output,
    )

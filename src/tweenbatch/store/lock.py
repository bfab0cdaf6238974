"""Lock a SQLite table for one run; the lock ends with its process.

Its file also stores the table's high-water mark, so that an older or a new table at the same path
is detected.
"""

import fcntl
import logging
import os
import re
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tweenbatch.clock import SystemClock
from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.files import atomic
from tweenbatch.records import HighWaterMark
from tweenbatch.store.engine import is_there, parse_url, prepare_file, table_path

log = logging.getLogger(__name__)

NOTE_BYTES = 1_000
SQLITE_HEADER = b"SQLite format 3\0"

_OURS = re.compile(rb"\d+ \S+ \S+\n|\s*(\0|\Z)")
"""The beginning of a lock file: its holder, nothing, or the remains of a power failure."""


class RunnerLock:
    """Held while a run uses the table; ``TableBusy`` names the run that has it.

    The file ``<table>.lock`` remains after a run but blocks nobody: the kernel releases the lock
    when the process ends. A table on a server needs no lock.

    ``seen`` is the high-water mark of the table at this path; None if unknown.

    Raises ``TableUnusable`` for a table in memory: the next run would pay for everything again.
    """

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.table = table_path(parsed)
        """The file as the user named it; None for a table on a server."""
        if self.table is None and parsed.get_backend_name() == "sqlite":
            raise TableUnusable(
                f"{url}: a table in memory forgets what was paid for; name a file: sqlite:///FILE"
            )
        self.seen: HighWaterMark | None = None
        self._holder = ""
        self._file: int | None = None

    def __enter__(self) -> Self:
        if self.table is not None:
            # A file with two names must have one lock.
            table = self.table.resolve()
            _refuse_stranger(self.table)
            self._file = _locked(lock_path(table), str(self.table))
            self.seen = _seen(_lines(self._file))
            started = f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ}"
            self._holder = f"{os.getpid()} {socket.gethostname()} {started}"
            self._write()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remember(self, mark: HighWaterMark) -> None:
        """Record the high-water mark and sync it to the disk; raises ``TableUnusable``."""
        if self._file is None:
            return
        self.seen = mark
        try:
            self._write()
            os.fsync(self._file)
        except OSError as error:
            raise TableUnusable(
                f"{self.table}.lock can't be written ({error.strerror}); fix this and run again"
            ) from error

    def advance(self, at: datetime, *, attempt_id: int | None = None) -> None:
        """Record that the run lives and, with ``attempt_id``, the latest attempt.

        The record survives the process; only a power failure can lose it.
        """
        if self._file is None or self.seen is None:
            return
        self.seen = replace(self.seen, at=at, attempt_id=attempt_id or self.seen.attempt_id)
        try:
            self._write()
        except OSError as error:
            log.warning("the lock file was not updated: %s", error)

    def _write(self) -> None:
        """Overwrite both lines in place, so that they always exist."""
        assert self._file is not None
        seen = self.seen
        note = f"{seen.run_id} {seen.attempt_id} {seen.at.isoformat()}\n" if seen else ""
        data = f"{self._holder}\n{note}".encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))


def _refuse_stranger(table: Path) -> None:
    """Raise ``TableUnusable`` for a link to another kind of file; no lock is put beside it."""
    if is_there(table) and table.is_symlink():
        with atomic.opened(table.resolve()) as file:
            if file.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
                raise TableUnusable(
                    f"{table} is a symbolic link to a file that isn't a job table; remove it, or "
                    "choose another table with --db"
                )


def lock_path(table: Path) -> Path:
    """Return the path of a table's lock file."""
    return table.with_name(f"{table.name}.lock")


def was_at_work(table: Path) -> bool:
    """Return whether the lock file records a run, even if the table was deleted."""
    try:
        with atomic.opened(lock_path(table.resolve())) as file:
            text = file.read(NOTE_BYTES).decode(errors="replace")
    except OSError:
        return False
    return _seen(text.split("\n")) is not None


def _locked(path: Path, table: str) -> int:
    prepare_file(path)
    try:
        file = atomic.open_regular(path, os.O_RDWR)
    except OSError as error:
        raise TableUnusable(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _lines(file)[0].split()
        os.close(file)
        raise TableBusy(_who(holder, table)) from None
    if not _OURS.match(os.pread(file, NOTE_BYTES, 0)):
        os.close(file)
        raise TableUnusable(
            f"{path} already exists and isn't a lock file of tweenbatch; move it, or choose "
            "another table with --db"
        )
    return file


def _lines(file: int) -> list[str]:
    return os.pread(file, NOTE_BYTES, 0).decode(errors="replace").split("\n")


def _seen(lines: list[str]) -> HighWaterMark | None:
    """Return the mark on the second line, or None if it is missing or unreadable."""
    match [line.split() for line in lines]:
        case [_, [run_id, attempt_id, at], *_]:
            try:
                return HighWaterMark(
                    run_id=int(run_id), attempt_id=int(attempt_id), at=datetime.fromisoformat(at)
                )
            except ValueError as error:
                log.warning("the mark in the lock file can't be read: %s", error)
    return None


def _who(holder: list[str], table: str) -> str:
    match holder:
        case [pid, host, since]:
            run = f"another run (pid {pid} on {host}, since {since})"
        case _:
            run = "another run"
    return f"{run} is using {table}; wait for it or stop it"

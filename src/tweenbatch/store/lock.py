"""One runner at a time owns a SQLite table: a lock that dies with its process."""

import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tweenbatch.clock import SystemClock
from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.store.engine import parse_url, prepare_file, table_path


class RunnerLock:
    """Held while a runner works on the table; ``TableBusy`` names the run that has it.

    The file ``<table>.lock`` beside the table stays behind and means nothing by itself: the
    kernel lets go when the process ends, however it ends. A server's table needs no lock.
    """

    def __init__(self, url: str) -> None:
        self._table = table_path(parse_url(url))
        self._file: int | None = None

    def __enter__(self) -> Self:
        if self._table is not None:
            # Two names of one file must meet at one lock.
            table = self._table.resolve()
            self._file = _locked(table.with_name(f"{table.name}.lock"), str(self._table))
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


def _locked(path: Path, table: str) -> int:
    prepare_file(path)
    try:
        file = os.open(path, os.O_RDWR)
    except OSError as error:
        raise TableUnusable(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 1_000, 0).decode(errors="replace").split()
        os.close(file)
        raise TableBusy(_who(holder, table)) from None
    os.ftruncate(file, 0)
    started = f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ}"
    os.pwrite(file, f"{os.getpid()} {socket.gethostname()} {started}\n".encode(), 0)
    return file


def _who(holder: list[str], table: str) -> str:
    match holder:
        case [pid, host, since]:
            run = f"another run (pid {pid} on {host}, since {since})"
        case _:
            run = "another run"
    return f"{run} owns {table}; wait for it or stop it"

"""A database with two operations: ``read`` and ``write`` run a function in one transaction.

It handles locking and durability of each dialect, retries when the database is busy, and lets
several functions share a transaction. It does not know the tables.
"""

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, StatementError
from sqlalchemy.pool import StaticPool

from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.files import atomic
from tweenbatch.store import filesystem, refusals

# One encoder for a million rows: json.dumps would create one per row.
_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode

log = logging.getLogger(__name__)
T = TypeVar("T")

CallResult = tuple[Any, Exception | None]
"""The result of a call, or its exception."""

BUSY_SECONDS = 30
TRIES = 5
FIRST_WAL_SAFE = (3, 51, 3)
"""The first version whose WAL survives a simultaneous write and checkpoint."""

ADVISORY_LOCK = 0x7477_6565_6E62
"""The key of our advisory lock on a server: "tweenb"."""


def parse_url(text: str) -> URL:
    """Return the URL of a supported database; raise ``TableUnusable`` for another."""
    try:
        url = make_url(text)
        # SQLite's own URIs (file:…?mode=ro) would hide the file name.
        known = url.get_backend_name() == "postgresql" or (
            url.get_backend_name() == "sqlite" and not url.query
        )
    except (ArgumentError, NoSuchModuleError, ValueError):
        known = False
    if not known:
        # An invalid URL may contain a password, so it is not shown.
        raise TableUnusable(
            "the database URL can't be read: expected sqlite:///FILE or postgresql://HOST/DATABASE"
        )
    return url


def table_path(url: URL) -> Path | None:
    """Return the file of the table; None for a server or a table in memory."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def display(url: URL) -> str:
    """Return the name of the table for messages: its file, or its URL without the password."""
    path = table_path(url)
    return str(path) if path else url.render_as_string(hide_password=True)


def is_there(path: Path) -> bool:
    """Return whether the file exists; raise for a folder or an inaccessible path.

    A table may be a symbolic link to an existing one, but none is created through a link. SQLite's
    own files beside it must be regular files: SQLite would wait forever for a pipe.
    """
    try:
        if path.is_dir():
            raise TableUnusable(f"{path} is a folder, not a job table")
        file = path.resolve()
        there = atomic.require_regular(file)
        for end in ("-journal", "-wal", "-shm"):
            atomic.require_regular(file.with_name(file.name + end))
        if there is None or not there.st_size:
            atomic.require_regular(path)
    except atomic.NotRegular as error:
        raise TableUnusable(f"{error.filename} can't be used: {error.strerror}") from error
    except OSError as error:
        raise TableUnusable(f"{path}: {error.strerror}") from error
    return there is not None


def prepare_file(path: Path) -> None:
    """Create an empty file, readable only by its owner, and its folders, unless it exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(atomic.open_regular(path, os.O_RDONLY, create=True))
    except atomic.NotRegular as error:
        raise TableUnusable(f"{path} can't be used: {error.strerror}") from error
    except FileExistsError as error:
        raise TableUnusable(f"{path}: part of this path is a file, not a folder") from error
    except OSError as error:
        raise TableUnusable(
            f"{path} can't be created ({error.strerror}); make {path.parent} writable, or choose "
            "another table with --db"
        ) from error


PAGE_BYTES = 8_192
"""The page size of a new SQLite file: twice the default, because keys arrive in random order. It
shortens a long import by a sixth. Larger pages gain little, and each commit would write more."""

CACHE_KIBIBYTES = 65_536
IMPORT_CACHE_KIBIBYTES = 114_688
"""Enough for the random keys of a million jobs; memory is used only as needed."""


def close_afterwards(connection: Connection) -> bool:
    """Close the connection after its work; False if that would delete the database."""
    if isinstance(connection.engine.pool, StaticPool):
        return False
    connection.detach()
    return True


def make_room(connection: Connection) -> None:
    """Enlarge the connection's cache for an import."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size = -{IMPORT_CACHE_KIBIBYTES}")


_ALONE = "BEGIN IMMEDIATE"
"""Begins a SQLite transaction that excludes all other writers."""


class _Group(threading.local):
    """The shared transaction of a thread's calls, and the actions after its commit."""

    connection: Connection | None = None
    afterwards: list[Callable[[], None]]


class _GroupBroken(Exception):
    """A group was rolled back before its commit; the single calls may still succeed."""


class Database:
    """An open database; ``name`` is its name in messages.

    ``busy_seconds`` is how long each attempt to write waits for another program.
    """

    def __init__(self, url: URL, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = url
        self.name = display(url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        try:
            self._engine = _engine(url, busy_seconds=busy_seconds)
        except ModuleNotFoundError as error:
            raise TableUnusable(
                f"{self.name}: PostgreSQL needs the extra 'postgres':"
                ' pip install "tweenbatch[postgres]"'
            ) from error
        self._group = _Group()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return the result of the work on one consistent view of the database."""
        return self._joined(work) if self._group.connection else self._whole("BEGIN", work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return the result of the work after its commit; the work may run more than once.

        It is repeated only after a failure that proves that nothing was committed. In a group the
        commit comes later; the group returns its results only after it.
        """
        return self._joined(work) if self._group.connection else self._whole(_ALONE, work)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run an action after the commit: now, or after the group's commit."""
        if self._group.connection:
            self._group.afterwards.append(action)
        else:
            action()

    def group_commit(self, calls: Sequence[Callable[[], Any]]) -> list[CallResult]:
        """Run calls that read and write here in one transaction; return the result of each.

        If one raises, each is run again alone, so that a failed call changes nothing and does not
        affect the others. A failed commit fails all calls.
        """
        if len(calls) == 1:
            return [_run_call(calls[0])]
        try:
            results = self._whole(_ALONE, partial(self._as_group, calls))
        except _GroupBroken as broken:
            log.info("group_broken calls=%d: %s", len(calls), broken)
            return [_run_call(call) for call in calls]
        for action in self._group.afterwards:
            action()
        return results

    def _as_group(
        self, calls: Sequence[Callable[[], Any]], connection: Connection
    ) -> list[CallResult]:
        group = self._group
        # A new list per try: actions of a transaction that was rolled back must not run.
        group.connection, group.afterwards = connection, []
        try:
            return [_run_call(call) for call in calls]
        finally:
            group.connection = None

    def _joined(self, work: Callable[[Connection], T]) -> T:
        """Run the work in the group's transaction."""
        connection = self._group.connection
        assert connection is not None
        try:
            return work(connection)
        except Exception as error:
            if isinstance(error, DBAPIError) and refusals.is_busy(error):
                raise
            raise _GroupBroken(error) from error

    def one_at_a_time(self, connection: Connection) -> None:
        """Block other processes at this point until the transaction ends.

        On SQLite, ``BEGIN IMMEDIATE`` already does that.
        """
        if not self.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))

    def _whole(self, begin: str, work: Callable[[Connection], T]) -> T:
        for remaining in reversed(range(TRIES)):
            try:
                with self._engine.begin() as connection:
                    if self.is_sqlite:
                        connection.exec_driver_sql(begin)
                    return work(connection)
            except StatementError as error:
                if not isinstance(error, DBAPIError) or not refusals.is_busy(error):
                    raise refusals.reason(error, self.name) from error
                if not remaining:
                    raise TableBusy(
                        f"{self.name} is locked by another program; try again after it ends"
                    ) from error
                log.info("table_busy tries_left=%d", remaining)
                time.sleep(0.05 * 2 ** (TRIES - remaining))
        raise AssertionError("unreachable")


def _run_call(call: Callable[[], Any]) -> CallResult:
    try:
        return call(), None
    except _GroupBroken:
        raise
    except Exception as error:
        if isinstance(error, DBAPIError) and refusals.is_busy(error):
            raise
        return None, error


def _engine(url: URL, *, busy_seconds: float) -> Engine:
    options: dict[str, Any] = {"json_serializer": _to_json}
    if url.get_backend_name() == "sqlite":
        # The store runs in its own thread, not in the one that opened it.
        options["connect_args"] = {"check_same_thread": False, "timeout": busy_seconds}
        path = table_path(url)
        if path is None:
            options["poolclass"] = StaticPool
        engine = create_engine(url, **options)
        mode = journal_mode(sqlite3.sqlite_version_info, filesystem.network_type(path))
        event.listen(engine, "connect", partial(_prepare_sqlite, mode))
        return engine
    # Not the server's default: a read after waiting for a lock must see new data.
    engine = create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", **options)
    event.listen(engine, "connect", _prepare_postgres)
    return engine


def journal_mode(version: tuple[int, ...], network: str | None) -> str:
    """Return the journal mode for SQLite; ``network`` is from ``network_type``.

    A WAL needs shared memory, which machines with a shared disk do not have.
    """
    return "WAL" if version >= FIRST_WAL_SAFE and network is None else "TRUNCATE"


def _prepare_sqlite(mode: str, connection: sqlite3.Connection, _record: object) -> None:
    # We begin transactions ourselves: the driver's would be late and deferred.
    connection.isolation_level = None
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute(f"PRAGMA journal_mode = {mode}")


def _prepare_postgres(connection: Any, _record: object) -> None:
    # A server that answers before its commit is on disk could lose an intent already submitted.
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit = on")
    connection.commit()

"""One database as two verbs: ``read`` and ``write`` run a piece of work in a whole transaction.

Owns the dialect's manners (locking, durability), repeats what was busy, and lets many pieces of
work share a transaction. Knows no table.
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

# One encoder for a million rows: json.dumps makes a new one for each.
_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode

log = logging.getLogger(__name__)
T = TypeVar("T")

CallResult = tuple[Any, Exception | None]
"""What a call returned, or what it raised."""

BUSY_SECONDS = 30
TRIES = 5
FIRST_WAL_SAFE = (3, 51, 3)
"""From here on two connections can't corrupt a WAL file by writing and checkpointing at once."""

ADVISORY_LOCK = 0x7477_6565_6E62
"""The key of our lock among the server's advisory locks: "tweenb"."""


def parse_url(text: str) -> URL:
    """Return the URL of a database that we know; raise ``TableUnusable`` for another."""
    try:
        url = make_url(text)
        # SQLite's own URIs (file:…?mode=ro) would hide which file is meant.
        known = url.get_backend_name() == "postgresql" or (
            url.get_backend_name() == "sqlite" and not url.query
        )
    except (ArgumentError, NoSuchModuleError, ValueError):
        known = False
    if not known:
        # A text that is no URL may still hold a password: it is not repeated.
        raise TableUnusable(
            "the database URL can't be read: expected sqlite:///FILE or postgresql://HOST/DATABASE"
        )
    return url


def table_path(url: URL) -> Path | None:
    """Return the file that holds the table; None for a server or a table in memory."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def display(url: URL) -> str:
    """Return how a message names the table: its file, or its URL without the password."""
    path = table_path(url)
    return str(path) if path else url.render_as_string(hide_password=True)


def is_there(path: Path) -> bool:
    """Tell whether there is a file; a folder, or a place that may not be seen, is an error.

    A table may be a link to one that is there, but none is made where a link leads. SQLite's own
    files beside it are regular ones: it would wait for ever at a pipe.
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
    """Create an empty file for its owner alone, and the folders above it, unless it exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(atomic.open_regular(path, os.O_RDONLY, create=True))
    except atomic.NotRegular as error:
        raise TableUnusable(f"{path} can't be used: {error.strerror}") from error
    except FileExistsError as error:
        raise TableUnusable(f"{path}: a file stands where a folder is needed") from error
    except OSError as error:
        raise TableUnusable(
            f"{path} can't be made ({error.strerror}); let {path.parent} be written to, or choose "
            "another place"
        ) from error


PAGE_BYTES = 8_192
"""Of a new SQLite file: twice what is usual, for keys that come in no order. A long import takes a
sixth less by it; with twice as much again it would save little, and each commit write more."""

CACHE_KIBIBYTES = 65_536
IMPORT_CACHE_KIBIBYTES = 114_688
"""Room for the keys of a million jobs, which come in no order; it is taken as it is needed."""


def close_afterwards(connection: Connection) -> bool:
    """Have a connection closed once its work is done; False: the database would go with it."""
    if isinstance(connection.engine.pool, StaticPool):
        return False
    connection.detach()
    return True


def make_room(connection: Connection) -> None:
    """Let the connection keep in memory what an import looks at again and again."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size = -{IMPORT_CACHE_KIBIBYTES}")


_ALONE = "BEGIN IMMEDIATE"
"""How a transaction begins in a SQLite file beside which none may write."""


class _Group(threading.local):
    """The transaction that a thread's calls share, if they do, and what is to be done after it."""

    connection: Connection | None = None
    afterwards: list[Callable[[], None]]


class _GroupBroken(Exception):
    """A group was rolled back before its commit: it says nothing of the single calls."""


class Database:
    """A database, opened; ``name`` is what messages call it.

    ``busy_seconds`` is how long each try to write waits for another program to let go.
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
        """Return what the work makes of one consistent view of the database."""
        return self._joined(work) if self._group.connection else self._whole("BEGIN", work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return what the work returns once it is committed; it may run more than once.

        Only a failure that proves that nothing was committed repeats the work. In a group it is
        not committed when this returns: the group's callers hear nothing before it is.
        """
        return self._joined(work) if self._group.connection else self._whole(_ALONE, work)

    def after_commit(self, then: Callable[[], None]) -> None:
        """Do something once what was written so far is committed: now, or with the group."""
        if self._group.connection:
            self._group.afterwards.append(then)
        else:
            then()

    def group_commit(self, calls: Sequence[Callable[[], Any]]) -> list[CallResult]:
        """Carry calls out that read and write here, in one transaction; return how each ended.

        Where one of them raises, each is carried out once more, alone: what raises changes
        nothing and disturbs no other. A commit that fails fails them all.
        """
        if len(calls) == 1:
            return [_run_call(calls[0])]
        try:
            results = self._whole(_ALONE, partial(self._as_group, calls))
        except _GroupBroken as broken:
            log.info("group_broken calls=%d: %s", len(calls), broken)
            return [_run_call(call) for call in calls]
        for then in self._group.afterwards:
            then()
        return results

    def _as_group(
        self, calls: Sequence[Callable[[], Any]], connection: Connection
    ) -> list[CallResult]:
        group = self._group
        # Anew at each try: what was noted in one that was rolled back never happened.
        group.connection, group.afterwards = connection, []
        try:
            return [_run_call(call) for call in calls]
        finally:
            group.connection = None

    def _joined(self, work: Callable[[Connection], T]) -> T:
        """Do the work in the group's transaction."""
        connection = self._group.connection
        assert connection is not None
        try:
            return work(connection)
        except Exception as error:
            if isinstance(error, DBAPIError) and refusals.is_busy(error):
                raise
            raise _GroupBroken(error) from error

    def one_at_a_time(self, connection: Connection) -> None:
        """Let no other process pass here until the transaction ends.

        SQLite has let only one in already: ``BEGIN IMMEDIATE``.
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
                        f"{self.name} is locked by another program; try again when it is done"
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
        # The store works in a thread of its own, not in the one that opened it.
        options["connect_args"] = {"check_same_thread": False, "timeout": busy_seconds}
        path = table_path(url)
        if path is None:
            options["poolclass"] = StaticPool
        engine = create_engine(url, **options)
        mode = journal_mode(sqlite3.sqlite_version_info, filesystem.network_type(path))
        event.listen(engine, "connect", partial(_prepare_sqlite, mode))
        return engine
    # Whatever the server's default: what is read after waiting for a lock must be read anew.
    engine = create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", **options)
    event.listen(engine, "connect", _prepare_postgres)
    return engine


def journal_mode(version: tuple[int, ...], network: str | None) -> str:
    """Return how SQLite is to keep its journal; ``network`` as from ``network_type``.

    A WAL is shared memory, which machines that share a disk do not have.
    """
    return "WAL" if version >= FIRST_WAL_SAFE and network is None else "TRUNCATE"


def _prepare_sqlite(mode: str, connection: sqlite3.Connection, _record: object) -> None:
    # Ours: the driver's would come too late and be a deferred one.
    connection.isolation_level = None
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute(f"PRAGMA journal_mode = {mode}")


def _prepare_postgres(connection: Any, _record: object) -> None:
    # A server that answers before a commit is on disk could forget an intent that was acted on.
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit = on")
    connection.commit()

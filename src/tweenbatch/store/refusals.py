"""Translate the errors of database drivers into ours."""

import errno
import os
import sqlite3

from sqlalchemy.exc import DBAPIError, StatementError

from tweenbatch.errors import TableUnusable

SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
POSTGRES_BUSY = frozenset({"40001", "40P01"})
"""Serialisation failure and deadlock: the server asks to repeat the transaction."""

SQLITE_DUPLICATE = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
)
POSTGRES_DUPLICATE = "23505"

DAMAGED = (
    "the database is damaged; restore it from a copy, or recover the rest with"
    ' "sqlite3 FILE .recover | sqlite3 NEWFILE"'
)

_SQLITE_REASONS = {
    sqlite3.SQLITE_NOTADB: "the file isn't a SQLite database",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_CANTOPEN: "the file can't be opened; check its permissions",
    sqlite3.SQLITE_PERM: "you have no permission to open the file",
    sqlite3.SQLITE_AUTH: "you have no permission to open the file",
    sqlite3.SQLITE_READONLY: "the file isn't writable; make it writable and run again",
    sqlite3.SQLITE_IOERR: "the disk reports an error; fix this and run again",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and run again",
}


def is_busy(error: DBAPIError) -> bool:
    """Return whether the transaction may succeed if it is repeated."""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in SQLITE_BUSY
    return getattr(error.orig, "sqlstate", None) in POSTGRES_BUSY


def is_duplicate(error: DBAPIError) -> bool:
    """Return whether a unique constraint refused the row."""
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode in SQLITE_DUPLICATE
    return getattr(error.orig, "sqlstate", None) == POSTGRES_DUPLICATE


def reason(error: Exception, name: str) -> BaseException:
    """Return the exception to raise for an error of the table of that name."""
    if isinstance(error, DBAPIError):
        return _translated(error, name)
    if isinstance(error, StatementError):
        # One of our column types refused a value: raise its error, without the wrapping.
        return error.orig or error
    return error


def _translated(error: DBAPIError, name: str) -> Exception:
    """Return our error for a driver's error; a refused row is a bug and stays as it is."""
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        message = _SQLITE_REASONS.get(code)
        if code == sqlite3.SQLITE_CANTOPEN and _too_many_files():
            message = "too many open files: raise `ulimit -n` or lower --concurrency, and run again"
        return TableUnusable(f"{name}: {message}") if message else error
    if error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None:
        return TableUnusable(f"{name}: {str(error.orig).splitlines()[0]}")
    return error


def _too_many_files() -> bool:
    """Return whether this process can't open any file; SQLite does not report that."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False

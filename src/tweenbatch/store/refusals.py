"""What a database's driver raises, as our errors: what was busy, what is broken, what is a bug."""

import errno
import os
import sqlite3

from sqlalchemy.exc import DBAPIError, StatementError

from tweenbatch.errors import TableUnusable

SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
POSTGRES_BUSY = frozenset({"40001", "40P01"})
"""Serialisation failure and deadlock: the server asks for the transaction once more."""

SQLITE_DUPLICATE = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
)
POSTGRES_DUPLICATE = "23505"

DAMAGED = (
    "the database is damaged; restore it from a copy, or save what is left of it with"
    ' "sqlite3 FILE .recover | sqlite3 NEWFILE"'
)

_SQLITE_REASONS = {
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_CANTOPEN: "the file can't be opened; is it a file, and may you read it?",
    sqlite3.SQLITE_PERM: "you may not open the file",
    sqlite3.SQLITE_AUTH: "you may not open the file",
    sqlite3.SQLITE_READONLY: "the file can't be written to; make it writable, and run again",
    sqlite3.SQLITE_IOERR: "the disk reports an error; see to it, and run again",
    sqlite3.SQLITE_FULL: "the disk is full; make room there, and run again",
}


def is_busy(error: DBAPIError) -> bool:
    """Tell whether the same transaction may well succeed if it is done once more."""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in SQLITE_BUSY
    return getattr(error.orig, "sqlstate", None) in POSTGRES_BUSY


def is_duplicate(error: DBAPIError) -> bool:
    """Tell whether a unique constraint refused the row."""
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode in SQLITE_DUPLICATE
    return getattr(error.orig, "sqlstate", None) == POSTGRES_DUPLICATE


def reason(error: Exception, name: str) -> BaseException:
    """Return what to raise for an error from the table of that name."""
    if isinstance(error, DBAPIError):
        return _translated(error, name)
    if isinstance(error, StatementError):
        # What one of our column types refused: the reason, not its wrapping.
        return error.orig or error
    return error


def _translated(error: DBAPIError, name: str) -> Exception:
    """Return our error for one of the driver's; a refused row stays what it is: a bug."""
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        reason_text = _SQLITE_REASONS.get(code)
        if code == sqlite3.SQLITE_CANTOPEN and _too_many_files():
            reason_text = (
                "too many open files: raise `ulimit -n` or lower --concurrency, and run again"
            )
        return TableUnusable(f"{name}: {reason_text}") if reason_text else error
    if error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None:
        return TableUnusable(f"{name}: {str(error.orig).splitlines()[0]}")
    return error


def _too_many_files() -> bool:
    """Tell whether this process can open no file at all, which SQLite does not say."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False

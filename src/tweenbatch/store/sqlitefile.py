"""A SQLite table as one file: its copies and what tells them apart, its check after a crash.

A copy says of itself since when it may lack what was paid for, where SQLite keeps a number for
the program (``user_version``): as minutes since 1970; 0: it lacks nothing.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from tweenbatch.clock import SystemClock
from tweenbatch.errors import TableUnusable
from tweenbatch.files import atomic
from tweenbatch.store.engine import BUSY_SECONDS
from tweenbatch.store.refusals import DAMAGED, SQLITE_BUSY

log = logging.getLogger(__name__)


def keep_copy(table: Path, copy: Path) -> None:
    """Copy a table, also while others write to it; raises ``TableUnusable``.

    SQLite itself reads it, so that what still lies in a journal is copied too. The copy
    appears whole or not at all, for its owner alone, and in the place of an older one.
    """
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        atomic.clear_leftovers(copy)
        with (
            atomic.unfinished(copy, mode=0o600) as (part, _),
            closing(sqlite3.connect(table)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            # All pages in one step: whatever is written meanwhile belongs to the time after.
            source.backup(target, progress=_impatience(), sleep=0.05)
            # One file: without it, the copy of a table with a write-ahead log opens another.
            target.execute("PRAGMA journal_mode = DELETE")
            if not target.execute("PRAGMA user_version").fetchone()[0]:
                target.execute(f"PRAGMA user_version = {_minutes(SystemClock().now())}")
    except (OSError, sqlite3.Error, TableUnusable) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TableUnusable(
            f"{table} can't be copied to {copy} ({reason}); make room for it"
        ) from error
    log.info("table copied copy=%s", copy)


def incomplete_since(connection: Connection) -> datetime | None:
    """Return since when the table may lack what was paid for, as it says itself."""
    minutes = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    return datetime.fromtimestamp(minutes * 60, UTC) if minutes else None


def mark_incomplete(connection: Connection, until: datetime | None) -> None:
    """Let the table say so."""
    minutes = 0 if until is None else _minutes(until)
    connection.exec_driver_sql(f"PRAGMA user_version = {minutes}")


def refuse_damaged(connection: Connection, name: str) -> None:
    """Read the whole table and raise ``TableUnusable`` where its pages or rows are broken."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        what = " ".join(str(found).split())
        raise TableUnusable(f"{name}: {DAMAGED}. Nothing was submitted. SQLite says: {what}")


def _minutes(instant: datetime) -> int:
    return int(instant.timestamp()) // 60


def _impatience() -> Callable[[int, int, int], None]:
    """Return what ends a copy that another program does not let begin."""
    given_up_at = time.monotonic() + BUSY_SECONDS

    def look(status: int, _left: int, _pages: int) -> None:
        if status in SQLITE_BUSY and time.monotonic() > given_up_at:
            raise TableUnusable("it is locked by another program")

    return look

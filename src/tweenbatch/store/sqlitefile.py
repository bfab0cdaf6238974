"""Copy a SQLite table, mark copies as such, and check a table after a crash.

SQLite's ``user_version`` stores since when a copy may lack payments, as minutes since 1970; 0: it
is complete.
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
    """Copy a table, even while others write to it; raises ``TableUnusable``.

    SQLite itself reads the table, so the copy includes the journal. The copy appears complete or
    not at all, is readable only by its owner, and replaces an older one.
    """
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        atomic.clear_leftovers(copy)
        with (
            atomic.unfinished(copy, mode=0o600) as (part, _),
            closing(sqlite3.connect(table)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            # All pages in one step: later writes are not part of the copy.
            source.backup(target, progress=_busy_timeout(), sleep=0.05)
            # Without this, opening the copy would create more files.
            target.execute("PRAGMA journal_mode = DELETE")
            if not target.execute("PRAGMA user_version").fetchone()[0]:
                target.execute(f"PRAGMA user_version = {_minutes(SystemClock().now())}")
    except (OSError, sqlite3.Error, TableUnusable) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TableUnusable(
            f"{table} can't be copied to {copy} ({reason}); free some space or choose another disk"
        ) from error
    log.info("table copied copy=%s", copy)


def incomplete_since(connection: Connection) -> datetime | None:
    """Return since when the table may lack payments, or None."""
    minutes = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    return datetime.fromtimestamp(minutes * 60, UTC) if minutes else None


def mark_incomplete(connection: Connection, since: datetime | None) -> None:
    """Record since when the table may lack payments."""
    minutes = 0 if since is None else _minutes(since)
    connection.exec_driver_sql(f"PRAGMA user_version = {minutes}")


def refuse_damaged(connection: Connection, name: str) -> None:
    """Check the whole table and raise ``TableUnusable`` if it is damaged."""
    result = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if result != "ok":
        what = " ".join(str(result).split())
        raise TableUnusable(f"{name}: {DAMAGED}. Nothing was submitted. SQLite says: {what}")


def _minutes(instant: datetime) -> int:
    return int(instant.timestamp()) // 60


def _busy_timeout() -> Callable[[int, int, int], None]:
    """Return a callback that ends a copy if another program keeps the table locked."""
    given_up_at = time.monotonic() + BUSY_SECONDS

    def check(status: int, _left: int, _pages: int) -> None:
        if status in SQLITE_BUSY and time.monotonic() > given_up_at:
            raise TableUnusable("it is locked by another program")

    return check

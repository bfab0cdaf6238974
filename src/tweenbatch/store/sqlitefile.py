"""A SQLite table as one file: its copy before a migration, its check after a crash."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

from tweenbatch.errors import TableUnusable
from tweenbatch.store.engine import DAMAGED, prepare_file

log = logging.getLogger(__name__)


def keep_copy(table: Path, copy: Path) -> None:
    """Copy a table that nobody writes to while this lasts; raises ``TableUnusable``.

    SQLite itself reads it, so that what still lies in a journal is copied too. The copy
    appears whole or not at all, and in the place of an older one.
    """
    part = copy.with_name(f"{copy.name}.part")
    try:
        part.unlink(missing_ok=True)
        prepare_file(part)
        with closing(sqlite3.connect(table)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        _sync(part)
        part.replace(copy)
        _sync(copy.parent)
    except (OSError, sqlite3.Error, TableUnusable) as error:
        part.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else error
        raise TableUnusable(
            f"{table} has to be brought to a newer schema, and the copy that is kept of it before, "
            f"{copy}, can't be made ({reason}); make room for it; nothing was changed"
        ) from error
    log.info("table copied before its migration copy=%s", copy)


def refuse_damaged(connection: Connection, name: str) -> None:
    """Read the whole table and raise ``TableUnusable`` where its pages or rows are broken."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        what = " ".join(str(found).split())
        raise TableUnusable(f"{name}: {DAMAGED}. Nothing was submitted. SQLite says: {what}")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

"""Copy a table into a backup file."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tweenbatch.errors import TableUnusable, UsageError
from tweenbatch.store.engine import display, is_there, parse_url, table_path
from tweenbatch.store.migrate import no_table_yet
from tweenbatch.store.schema import VERSION_TABLE
from tweenbatch.store.sqlitefile import keep_copy

OF_THE_TABLE = ("", "-wal", "-shm", "-journal", ".lock", ".witness")
"""Suffixes of the files that belong to a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A finished copy."""

    path: Path
    bytes: int
    jobs: int


def back_up(url: str, copy: Path, *, replace: bool) -> Backup:
    """Copy the table into one file, even while a run uses it.

    Raises ``UsageError`` for an unsuitable path and ``TableUnusable`` for a table that can't be
    copied.
    """
    parsed = parse_url(url)
    table = table_path(parsed)
    if table is None:
        where = "is on a server" if parsed.get_backend_name() == "postgresql" else "has no file"
        raise TableUnusable(
            f"{display(parsed)} {where}, and only a file can be copied; use pg_dump for PostgreSQL"
        )
    if not is_there(table):
        raise no_table_yet(str(table))
    file = table.resolve()
    _refuse_stranger(file)
    if copy.resolve() in {file.with_name(f"{file.name}{end}") for end in OF_THE_TABLE}:
        raise UsageError(f"{copy} belongs to the table itself; choose another name for the copy")
    if copy.is_dir():
        raise UsageError(f"{copy} is a folder; add a file name for the copy")
    if copy.exists() and not replace:
        raise UsageError(f"{copy} already exists; choose another name, or replace it with --force")
    keep_copy(file, copy)
    with closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        jobs: int = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
    return Backup(path=copy, bytes=copy.stat().st_size, jobs=jobs)


def _refuse_stranger(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            found = {name for (name,) in names}
    except sqlite3.Error as error:
        raise TableUnusable(f"{file} can't be read ({error}); nothing was copied") from error
    if not {VERSION_TABLE, "jobs"} <= found:
        raise TableUnusable(f"{file} isn't a job table; nothing was copied")

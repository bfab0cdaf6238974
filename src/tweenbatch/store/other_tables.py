"""Find other job tables and read them without changing them."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL

from tweenbatch.errors import TableMissing, TableUnusable
from tweenbatch.store.engine import Database, display, parse_url, table_path
from tweenbatch.store.lock import lock_path
from tweenbatch.store.migrate import HEAD, version_of
from tweenbatch.store.schema import VERSION_TABLE
from tweenbatch.store.sqlitefile import keep_copy
from tweenbatch.store.store import Store

_SUFFIXES = frozenset({".db", ".db3", ".sqlite", ".sqlite3"})
_BEGINS = b"SQLite format 3\x00"
_CONNECT_SECONDS = "5"


def file_of(url: str) -> Path | None:
    """Return the file of a table's URL; None for a server or a table in memory."""
    return table_path(parse_url(url))


def without_password(url: str) -> str:
    """Return the URL of a table without its password, for messages and notes."""
    parsed = parse_url(url)
    path = table_path(parsed)
    if path is not None:
        return f"sqlite:///{path.absolute()}"
    query = {name: value for name, value in parsed.query.items() if "password" not in name}
    plain = URL.create(
        parsed.drivername,
        username=parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query=query,
    )
    return plain.render_as_string()


def tables_in(folder: Path) -> list[Path]:
    """Return the job tables in a folder, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
    except OSError:
        return []
    likely = (name for name in names if Path(name).suffix.lower() in _SUFFIXES)
    locked = (name.removesuffix(".lock") for name in names if name.endswith(".lock"))
    found = {folder / name for name in (*likely, *locked) if name in names}
    return sorted(path for path in found if _is_ours(path))


def _is_ours(path: Path) -> bool:
    """Return whether a file is a job table; an unreadable one counts if it has a lock file."""
    had_a_lock = lock_path(path).exists()
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            if file.read(len(_BEGINS)) != _BEGINS:
                return False
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as table:
            named = "SELECT 1 FROM sqlite_master WHERE name = ?"
            return table.execute(named, [VERSION_TABLE]).fetchone() is not None
    except (OSError, sqlite3.Error):
        return had_a_lock


@contextmanager
def open_unchanged(url: str) -> Iterator[Store]:
    """Open a table for reading; a table of an earlier release is copied first.

    Raises ``TableMissing``, ``TableUnusable``, ``TableTooNew`` or ``TableBusy``.
    """
    parsed = parse_url(url)
    path = table_path(parsed)
    if path is not None and not path.exists():
        raise TableMissing(f"{path} does not exist")
    if path is None:
        parsed = parsed.update_query_dict({"connect_timeout": _CONNECT_SECONDS})
    database = Database(parsed)
    with closing(Store(database)) as store:
        version = database.read(lambda connection: version_of(database, connection, create=False))
        if version == HEAD:
            yield store
            return
    if path is None:
        raise TableUnusable(
            f"{display(parsed)} is from an earlier release; `tweenbatch status` migrates it"
        )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "tweenbatch.db")
        keep_copy(path, copy)
        with closing(Store.open(f"sqlite:///{copy}", create=False)) as store:
            yield store

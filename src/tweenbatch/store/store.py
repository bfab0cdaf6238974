"""The job table for the rest of the program, in five parts.

Calls that wait at the same time may share one transaction: ``Store.group_commit``.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tweenbatch.errors import TableMissing
from tweenbatch.store import filesystem
from tweenbatch.store.cache import Cache
from tweenbatch.store.engine import (
    BUSY_SECONDS,
    CallResult,
    Database,
    is_there,
    parse_url,
    prepare_file,
    table_path,
)
from tweenbatch.store.jobs import JobTable
from tweenbatch.store.manifests import ManifestTable
from tweenbatch.store.migrate import bring_up_to_date, no_table_yet
from tweenbatch.store.progress import ProgressListeners
from tweenbatch.store.runs import RunTable
from tweenbatch.store.views import Views


class Store:
    """An open job table, for use by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        listeners = ProgressListeners(database)
        self.runs = RunTable(database, listeners)
        self.jobs = JobTable(database, listeners)
        self.manifests = ManifestTable(database)
        self.views = Views(database)
        self.cache = Cache(database)

    @classmethod
    def open(cls, url: str, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> "Store":
        """Open the table and migrate it; without ``create`` it must exist already.

        ``busy_seconds`` is how long each attempt to write waits for another program. Raises
        ``TableUnusable`` or ``TableTooNew``.
        """
        parsed = parse_url(url)
        path = table_path(parsed)
        if path is not None and not is_there(path):
            if not create:
                raise no_table_yet(str(path))
            prepare_file(path)
        database = Database(parsed, busy_seconds=busy_seconds)
        try:
            bring_up_to_date(database, create=create)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def find(cls, url: str) -> "Store | None":
        """Open an existing table like ``open``; None if there is none yet."""
        try:
            return cls.open(url, create=False)
        except TableMissing:
            return None

    @property
    def file(self) -> Path | None:
        """The resolved file of the table; None on a server."""
        path = table_path(self._database.url)
        return None if path is None else path.resolve()

    @property
    def network(self) -> str | None:
        """The type of the file's network file system; None on a local disk."""
        return filesystem.network_type(self.file)

    def close(self) -> None:
        """Close the table."""
        self._database.close()

    def group_commit(self, calls: Sequence[Callable[[], Any]]) -> list[CallResult]:
        """Run calls of this store's methods in one transaction; return the result of each.

        A call that raises changes nothing, and later calls see what earlier ones wrote. All are
        committed when this returns.
        """
        return self._database.group_commit(calls)

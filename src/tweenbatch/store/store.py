"""The job table as the rest of the program sees it, in parts by what they are about.

Methods that many wait for at the same time may share one transaction: ``Store.group_commit``.
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
    """A job table, opened. It is used from one thread at a time."""

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
        """Open the table and bring it up to date; without ``create`` it must exist already.

        ``busy_seconds`` is how long each try to write waits for another program. Raises
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
        """Open the table like ``open``, and make none; None: there is none yet."""
        try:
            return cls.open(url, create=False)
        except TableMissing:
            return None

    @property
    def file(self) -> Path | None:
        """Return the file that holds the table, whatever it is called; None on a server."""
        path = table_path(self._database.url)
        return None if path is None else path.resolve()

    @property
    def network(self) -> str | None:
        """Return the type of the network file system that holds the file; None: no such thing."""
        return filesystem.network_type(self.file)

    def close(self) -> None:
        """Close the table."""
        self._database.close()

    def group_commit(self, calls: Sequence[Callable[[], Any]]) -> list[CallResult]:
        """Carry calls of this store's methods out in one transaction; return how each ended.

        Each is as whole as it would be alone: one that raises changes nothing. They are all
        committed when this returns; a later one sees what an earlier one wrote.
        """
        return self._database.group_commit(calls)

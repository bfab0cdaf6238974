"""The base class of the store's parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select

from tweenbatch.store.engine import Database


class TablePart:
    """A part of an open table, for use by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _all(
        self, query: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        return self._database.read(lambda connection: connection.execute(query, parameters).all())

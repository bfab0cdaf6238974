"""Whatever remembers, outside the table, how far the table has come."""

from datetime import datetime
from functools import partial
from typing import Protocol

from tweenbatch.store.engine import Database


class Place(Protocol):
    """Whatever remembers how far the table has come."""

    def advance(self, at: datetime, *, attempt_id: int | None = None) -> None:
        """Note that the run lives and, after an attempt was recorded, that there was one more."""


class Places:
    """The places to tell of a table's progress; none until ``watch`` names them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: tuple[Place, ...] = ()

    def watch(self, *places: Place) -> None:
        """Tell these from now on."""
        self._watched = places

    def note(self, now: datetime, *, attempt_id: int | None = None) -> None:
        """Tell all of them that the run lives and, with ``attempt_id``, of a new attempt."""
        for place in self._watched:
            # A note of what was not committed would make this very table look older than it is.
            self._database.after_commit(partial(place.advance, now, attempt_id=attempt_id))

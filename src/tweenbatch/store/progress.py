"""Notify listeners outside the table of its progress."""

from datetime import datetime
from functools import partial
from typing import Protocol

from tweenbatch.store.engine import Database


class ProgressListener(Protocol):
    """Something outside the table that records how far the table has come."""

    def advance(self, at: datetime, *, attempt_id: int | None = None) -> None:
        """Record that the run lives and, with ``attempt_id``, its latest recorded attempt."""


class ProgressListeners:
    """The listeners of one table; none until ``watch`` names them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: tuple[ProgressListener, ...] = ()

    def watch(self, *listeners: ProgressListener) -> None:
        """Notify these listeners from now on."""
        self._listeners = listeners

    def notify(self, now: datetime, *, attempt_id: int | None = None) -> None:
        """Notify them that the run lives and, with ``attempt_id``, of a new attempt."""
        for listener in self._listeners:
            # Recording an attempt that was not committed would make this table look outdated.
            self._database.after_commit(partial(listener.advance, now, attempt_id=attempt_id))

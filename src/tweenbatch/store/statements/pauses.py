"""Statements about pauses: while one is open, nothing new is paid for."""

from datetime import datetime
from functools import cache

from sqlalchemy import Insert, Select, Update, insert, select, update

from tweenbatch.store.schema import pauses


@cache
def open_since() -> Select[datetime]:
    """Read since when there is an open pause."""
    return select(pauses.c.since).where(pauses.c.lifted_at.is_(None)).order_by(pauses.c.id).limit(1)


def begin(*, now: datetime) -> Insert:
    """Open a pause."""
    return insert(pauses).values(since=now)


def lift(*, now: datetime) -> Update:
    """Close every open pause."""
    return update(pauses).where(pauses.c.lifted_at.is_(None)).values(lifted_at=now)

"""Statements about the image files that were looked at."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Insert, Select, select

from tweenbatch.store.schema import frames
from tweenbatch.store.statements.upsert import upsert


def seen(paths: Collection[str]) -> Select[Any]:
    """Read what was found at these paths."""
    return select(frames).where(frames.c.path.in_(paths))


def remember(*, sqlite_dialect: bool) -> Insert:
    """Keep what was found at a path, in the place of what was found there before."""
    insert = upsert(frames, sqlite_dialect=sqlite_dialect)
    facts = {column.name: column for column in insert.excluded if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=[frames.c.path], set_=facts)

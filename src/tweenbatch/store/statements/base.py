"""Shared forms of statements: reusable ones, and inserts that handle an existing row."""

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Table

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

S = TypeVar("S")

Prepared = tuple[S, dict[str, Any]]
"""A statement built once, and the parameters of one execution.

Building a statement costs more than running it.
"""


def upsert(table: Table, *, sqlite_dialect: bool) -> "sqlite.Insert | postgresql.Insert":
    """Return the insert of one dialect, and load only that dialect."""
    if sqlite_dialect:
        from sqlalchemy.dialects.sqlite import insert

        return insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert(table)

"""Inserts that say what happens where the row is there already, as each dialect spells them."""

from typing import TYPE_CHECKING

from sqlalchemy import Table

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def upsert(table: Table, *, sqlite_dialect: bool) -> "sqlite.Insert | postgresql.Insert":
    """Return the insert of a dialect, which only who uses it has to load."""
    if sqlite_dialect:
        from sqlalchemy.dialects.sqlite import insert

        return insert(table)
    from sqlalchemy.dialects.postgresql import insert as insert_there

    return insert_there(table)

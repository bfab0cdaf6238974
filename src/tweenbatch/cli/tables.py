"""The table that a person means: a mistyped name is asked about."""

import shlex
import sys
from collections.abc import Callable

import click

from tweenbatch.errors import UsageError
from tweenbatch.planning import other_tables
from tweenbatch.report import other_tables as messages

Say = Callable[[str], None]


def given_options() -> frozenset[str]:
    """Return the options that somebody gave: typed, in a job file, or in the environment."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is not default
    )


def meant(db: str, *, new_table: bool, yes: bool) -> str:
    """Return the table to use: this one, or the one whose name somebody says was mistyped.

    Raises ``UsageError`` where a name looks mistyped and nobody says so on a terminal.
    """
    found = None if new_table else other_tables.likely_meant(db)
    if found is None:
        return db
    text = messages.slip(db, found)
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        if click.confirm(f"{text[0].upper()}{text[1:]}. Use that one?", err=True):
            return found
        raise UsageError(f"{text}. Nothing was submitted. --new-table begins a new one")
    raise UsageError(
        f"{text}. Nothing was submitted. --db {shlex.quote(found)} goes on with that one; "
        "--new-table begins a new one, which pays for all rows"
    )


def slip(db: str) -> str | None:
    """Say that a table which was named is not there, where another of all but its name is."""
    found = other_tables.likely_meant(db) if "db" in given_options() else None
    return None if found is None else messages.slip(db, found)

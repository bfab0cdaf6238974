"""The job table that an option names; a name that looks mistyped is questioned."""

import shlex
import sys

import click

from tweenbatch.errors import UsageError
from tweenbatch.planning import other_tables
from tweenbatch.report import other_tables as messages


def given_options() -> frozenset[str]:
    """Return the options set on the command line, in a job file or in the environment."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is not default
    )


def confirmed_table(db: str, *, new_table: bool, yes: bool) -> str:
    """Return the table to use: ``db``, or the similarly named one that a person confirms.

    Raises ``UsageError`` if the name looks mistyped and no person confirms the other one.
    """
    similar = None if new_table else other_tables.likely_meant(db)
    if similar is None:
        return db
    text = messages.slip(db, similar)
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        if click.confirm(f"{text[0].upper()}{text[1:]}. Use that one?", err=True):
            return similar
        raise UsageError(f"{text}. Nothing was submitted. --new-table creates a new one")
    raise UsageError(
        f"{text}. Nothing was submitted. --db {shlex.quote(similar)} continues with that one; "
        "--new-table creates a new one, which pays for all rows"
    )


def slip(db: str) -> str | None:
    """Return a warning if the named table does not exist but a similarly named one does."""
    similar = other_tables.likely_meant(db) if "db" in given_options() else None
    return None if similar is None else messages.slip(db, similar)

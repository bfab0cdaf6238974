"""Messages about other job tables that have paid for the rows of a new one."""

import shlex
from collections.abc import Sequence
from typing import Any

from tweenbatch.paths import sqlite_path
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.report.text import clips, usd


def refusal(found: Sequence[OtherTable], url: str) -> str:
    """Explain why a new table is not created, and give the two next steps."""
    first = found[0]
    free = f"--db {shlex.quote(first.url)} continues with that table"
    if first.gone:
        free = "Restore it; or add --trust-table, which adopts the paid requests in fal's list"
    again = "--new-table creates a new one, which pays for all rows"
    return f"{_facts(found, url)}. Nothing was submitted. {free}; {again}"


def warning(found: Sequence[OtherTable], url: str) -> str:
    """Warn, in a plan, that a run would refuse the new table."""
    remedy = "" if found[0].gone else f"; use that table with --db {shlex.quote(found[0].url)}"
    return f"{_facts(found, url)}. A run would refuse to start{remedy}"


def shape(other: OtherTable) -> dict[str, Any]:
    """Return the JSON shape of such a table in ``plan --json``."""
    return {
        "db": other.url,
        "clips": other.clips,
        "usd": float(other.usd),
        "unknown": other.unknown,
        "gone": other.gone,
    }


def slip(url: str, similar: str) -> str:
    """Return the message that a table does not exist, but a similarly named one does."""
    return f"there is no table {_name(url)}, but there is {_name(similar)}"


def _facts(found: Sequence[OtherTable], url: str) -> str:
    first, more = found[0], len(found) - 1
    also = f" (and {more} more table{'s' if more > 1 else ''})" if more else ""
    table = f"{_name(first.url)}{also}"
    pays = f"{_name(url)} is a new table and" if _name(url) != _name(first.url) else "a new table"
    if first.gone:
        usd_paid = f" after {usd(first.usd)} was paid" if first.usd else ""
        return (
            f"{table} was used for this manifest on {first.unknown}{usd_paid} and no longer "
            f"exists; {pays} would pay for everything again"
        )
    if first.unknown is not None:
        return (
            f"{table} may have paid for these rows and can't be read ({first.unknown}); {pays} "
            "would pay for them again"
        )
    return (
        f"{table} has paid for {clips(first.clips)} of these rows ({usd(first.usd)}); {pays} "
        "would pay for them again"
    )


def _name(url: str) -> str:
    path = sqlite_path(url)
    return url if path is None else str(path.absolute())

"""What is said of other tables that have paid for the rows of a new one."""

import shlex
from collections.abc import Sequence
from typing import Any

from tweenbatch.paths import sqlite_path
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.report.text import clips, usd


def refusal(found: Sequence[OtherTable], url: str) -> str:
    """Say why a new table is not begun, and the two ways on."""
    first = found[0]
    ways = f"--db {shlex.quote(first.url)} goes on with that table"
    if first.gone:
        ways = "put it back; or add --trust-table, which takes over what fal's list shows as paid"
    again = "--new-table begins a new one, which pays for all rows"
    return f"{_facts(found, url)}. Nothing was submitted. {ways[0].upper()}{ways[1:]}; {again}"


def warning(found: Sequence[OtherTable], url: str) -> str:
    """Say in a plan what a run would refuse."""
    way = "" if found[0].gone else f"; name it with --db {shlex.quote(found[0].url)}"
    return f"{_facts(found, url)}. A run stops here{way}"


def shape(other: OtherTable) -> dict[str, Any]:
    """Return the shape of such a table in ``plan --json``."""
    return {
        "db": other.url,
        "clips": other.clips,
        "usd": float(other.usd),
        "unknown": other.unknown,
        "gone": other.gone,
    }


def slip(url: str, meant: str) -> str:
    """Say that a table is not there and which one is."""
    return f"there is no table {_name(url)}, but there is {_name(meant)}"


def _facts(found: Sequence[OtherTable], url: str) -> str:
    first, more = found[0], len(found) - 1
    also = f" (and {more} more table{'s' if more > 1 else ''})" if more else ""
    table = f"{_name(first.url)}{also}"
    pays = f"{_name(url)} is a new table and" if _name(url) != _name(first.url) else "a new table"
    if first.gone:
        usd_paid = f" after {usd(first.usd)} was paid" if first.usd else ""
        return (
            f"{table} was used for this manifest on {first.unknown}{usd_paid} and is not there any "
            f"more; {pays} would pay for all of it again"
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

"""Match staged rows with jobs whose content differs only in URL signatures or line endings.

A newly signed URL, or other line endings in a prompt, must not buy a second clip.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, insert
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from tweenbatch.records import common_part
from tweenbatch.records.plain import plain_key
from tweenbatch.store.statements import alike
from tweenbatch.store.statements.staged import staged_key

CHUNK = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """The number of rows matched with a job, and whether rows may share a key now."""

    rows: int = 0
    shared: bool = False


def recognise(
    connection: Connection, *, after: int, any_jobs: bool, may_be_odd: bool, adding: bool
) -> Recognised:
    """Match staged rows without a job with the job of the same plain key.

    Rows without a job have a job id above ``after``. ``may_be_odd``: a row's plain key may differ
    from its key. Without ``adding`` no job is changed.
    """
    if not connection.execute(alike.any_without_job(after)).scalar_one():
        return Recognised()
    odd_jobs = any_jobs and connection.execute(alike.any_odd_job()).scalar_one()
    if not (odd_jobs or may_be_odd):
        return Recognised()
    for table in (alike.odd, alike.known):
        connection.execute(CreateTable(table))
    if may_be_odd:
        _keep(connection, alike.rows_that_may_be_odd(after=after), alike.odd)
    if odd_jobs:
        _keep(connection, alike.jobs_that_may_be_odd(after=after), alike.known)
    if any_jobs:
        connection.execute(alike.add_plain_jobs())
    rows = _give_jobs(connection, after=after, adding=adding)
    shared = _share_keys(connection, after=after)
    for table in (alike.odd, alike.known):
        connection.execute(DropTable(table))
    return Recognised(rows=rows, shared=bool(rows or shared))


def _give_jobs(connection: Connection, *, after: int, adding: bool) -> int:
    """Give rows the known jobs; return the number of rows."""
    if not connection.execute(alike.any_in(alike.known)).scalar_one():
        return 0
    rows = connection.execute(alike.give_known_jobs(after=after)).rowcount
    if adding:
        connection.execute(alike.give_jobs_plain_keys())
    connection.execute(alike.give_rows_keys_of_jobs())
    return rows


def _share_keys(connection: Connection, *, after: int) -> int:
    """Give the remaining rows of one new clip one key; return their number."""
    if not connection.execute(alike.any_in(alike.odd)).scalar_one():
        return 0
    connection.execute(CreateIndex(alike.odd_key))
    connection.execute(CreateIndex(staged_key, if_not_exists=True))
    return connection.execute(alike.share_keys(after=after)).rowcount


def _keep(connection: Connection, contents: Select[Any], table: Table) -> None:
    """Store the contents whose plain key differs from their key."""
    facts = [column.name for column in table.c if column.name != "plain_key"]
    for page in connection.execute(contents).yield_per(CHUNK).partitions():
        plain = ((each, plain_key(_common(each.endpoint, each.parameters), each)) for each in page)
        kept = [
            {"plain_key": key, **{name: getattr(each, name) for name in facts}}
            for each, key in plain
            if key != each.key
        ]
        if kept:
            connection.execute(insert(table), kept)


@lru_cache(maxsize=1_000)
def _common(endpoint: str, parameters: str) -> str:
    return common_part(endpoint, json.loads(parameters))

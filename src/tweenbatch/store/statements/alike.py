"""Statements that match rows with jobs of the same plain key.

The table stores no plain keys, because later releases may recognise more URL signatures. They are
computed again each time, but only for contents whose plain key may differ from their key.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Index,
    Insert,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    Update,
    and_,
    case,
    cast,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store.schema import jobs
from tweenbatch.store.statements.staged import staged

_SCRATCH = MetaData()

odd = Table(
    "odd",
    _SCRATCH,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("plain_key", String(64), nullable=False),
    prefixes=["TEMPORARY"],
)
"""The staged rows without a job whose plain key differs from their key."""

odd_key = Index("ix_odd_key", odd.c.plain_key, odd.c.position)

known = Table(
    "known",
    _SCRATCH,
    Column("plain_key", String(64), primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    prefixes=["TEMPORARY"],
)
"""The jobs that such rows may get; of several, the one with the lowest rank."""

_RANKS = {
    State.SUCCEEDED: 0,
    **dict.fromkeys(IDENTIFIED, 1),
    **dict.fromkeys((State.SUBMITTING, State.UNCERTAIN), 2),
    State.PENDING: 3,
    State.FAILED: 4,
}
"""Paid jobs come first."""

NOTHING_AT_FAL = (State.PENDING, State.FAILED, State.CANCELLED)
"""Jobs in these states have no open submission that is found by its key."""

_OF_CONTENTS = (
    *("key", "endpoint", "prompt", "start_source", "start_sha256", "end_source", "end_sha256"),
    "take",
)


def _may_be_odd(table: FromClause) -> ColumnElement[bool]:
    """Whether a content has a URL with parameters, or a line ending with CR."""
    of = table.c
    return or_(
        and_(of.start_sha256.is_(None), of.start_source.contains("?")),
        and_(of.end_sha256.is_(None), of.end_source.contains("?")),
        of.prompt.contains("\r"),
    )


def _plain_prompt(prompt: ColumnElement[str]) -> ColumnElement[str]:
    return func.replace(func.replace(prompt, "\r\n", "\n"), "\r", "\n")


def _contents(table: FromClause, *facts: ColumnElement[Any]) -> Select[Any]:
    # Parameters as text: many contents share one, which is parsed once.
    parameters = cast(table.c.parameters, Text).label("parameters")
    return select(*facts, *(table.c[name] for name in _OF_CONTENTS), parameters)


def any_without_job(after: int) -> Select[bool]:
    """Check whether any staged row has no job."""
    return select(exists().where(staged.c.job_id > after))


def any_odd_job() -> Select[bool]:
    """Check whether any job may have a plain key that differs from its key."""
    return select(exists().where(_may_be_odd(jobs)))


def rows_that_may_be_odd(*, after: int) -> Select[Any]:
    """Read staged rows without a job whose plain key may differ from their key."""
    return _contents(staged, staged.c.position).where(staged.c.job_id > after, _may_be_odd(staged))


def jobs_that_may_be_odd(*, after: int) -> Select[Any]:
    """Read such jobs if a row without a job has the same prompt."""
    prompts = select(_plain_prompt(staged.c.prompt)).where(staged.c.job_id > after)
    rank = case(_RANKS, value=jobs.c.state, else_=len(_RANKS)).label("rank")
    return _contents(jobs, jobs.c.id.label("job_id"), rank).where(
        _may_be_odd(jobs), _plain_prompt(jobs.c.prompt).in_(prompts)
    )


def add_plain_jobs() -> Insert:
    """Add jobs to ``known`` whose key is the plain key of an odd row."""
    rank = case(_RANKS, value=jobs.c.state, else_=len(_RANKS))
    plain_keys = select(odd.c.plain_key)
    matches = select(jobs.c.key, rank, jobs.c.id).where(jobs.c.key.in_(plain_keys))
    return insert(known).from_select(["plain_key", "rank", "job_id"], matches)


def _plain_key() -> ColumnElement[str]:
    of_row = select(odd.c.plain_key).where(odd.c.position == staged.c.position)
    return func.coalesce(of_row.correlate(staged).scalar_subquery(), staged.c.key)


def give_known_jobs(*, after: int) -> Update:
    """Give staged rows without a job the known job of their plain key."""
    best = (
        select(known.c.job_id)
        .where(known.c.plain_key == _plain_key())
        .order_by(known.c.rank, known.c.job_id)
        .limit(1)
        .correlate(staged)
        .scalar_subquery()
    )
    return (
        update(staged)
        .where(staged.c.job_id > after, _plain_key().in_(select(known.c.plain_key)))
        .values(job_id=best)
    )


_GIVEN = and_(jobs.c.id == staged.c.job_id, jobs.c.key != staged.c.key)
"""A row and its matched job; all other jobs have the key of their row."""


def give_jobs_plain_keys() -> Update:
    """Give jobs the key of their plain row, unless they have an open submission.

    Such a job also gets the row's URL, so its old key would no longer match its content.
    """
    plain = staged.c.position.not_in(select(odd.c.position))
    return (
        update(jobs).where(_GIVEN, plain, jobs.c.state.in_(NOTHING_AT_FAL)).values(key=staged.c.key)
    )


def give_rows_keys_of_jobs() -> Update:
    """Give matched rows the key of their job."""
    return update(staged).where(_GIVEN).values(key=jobs.c.key)


def take_newest_addresses(*, now: datetime) -> Update:
    """Update the URLs of matched jobs: a retry or a retake sends them.

    The URL of a plain row is used only if ``give_jobs_plain_keys`` changed the key too.
    """
    of_row, of_job = staged.c, jobs.c
    differs = or_(
        of_job.start_source != of_row.start_source,
        func.coalesce(of_job.end_source, "") != func.coalesce(of_row.end_source, ""),
    )
    findable = or_(_may_be_odd(staged), of_job.state.in_(NOTHING_AT_FAL))
    return (
        update(jobs)
        .where(of_job.id == of_row.job_id, of_row.last, differs, findable)
        .values(start_source=of_row.start_source, end_source=of_row.end_source, updated_at=now)
    )


def share_keys(*, after: int) -> Update:
    """Give rows of one plain key one key: the plain one if a row has it, or the first row's."""
    twin, other, first = staged.alias(), odd.alias(), odd.alias()
    plain_twin = select(twin.c.key).where(twin.c.key == odd.c.plain_key).correlate(odd).exists()
    earlier = (
        select(other.c.position)
        .where(other.c.plain_key == odd.c.plain_key, other.c.position < odd.c.position)
        .correlate(odd)
        .exists()
    )
    of_first = (
        select(twin.c.key)
        .join(first, first.c.position == twin.c.position)
        .where(first.c.plain_key == odd.c.plain_key)
        .order_by(first.c.position)
        .limit(1)
        .correlate(odd)
    )
    return (
        update(staged)
        .where(odd.c.position == staged.c.position, staged.c.job_id > after, plain_twin | earlier)
        .values(key=case((plain_twin, odd.c.plain_key), else_=of_first.scalar_subquery()))
    )


def any_in(table: Table) -> Select[bool]:
    """Check whether the table has any rows."""
    return select(select(table.c.plain_key).exists())

"""The scratch table of staged rows, and the statements that import it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Insert,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    cast,
    distinct,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    update,
)

from tweenbatch.records.imports import WITHDRAWN
from tweenbatch.states import Event, State, advance
from tweenbatch.store.schema import jobs, rows
from tweenbatch.store.statements.base import upsert
from tweenbatch.store.statements.work import fresh_start

_OF_ROWS = ("number", "take", "name", "start_image", "end_image", "tags", "extra")
OF_KINDS = ("endpoint", "parameters", "price_micro")
_OF_JOBS = (
    *("key", "prompt", "start_source", "start_sha256", "end_source", "end_sha256", "priority"),
)


def _like(table: Table, names: Iterable[str]) -> Iterator[Column[Any]]:
    for name in names:
        yield Column(name, table.c[name].type, nullable=table.c[name].nullable)


staged = Table(
    "staged",
    MetaData(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, nullable=False),
    Column("manifest_id", BigInteger, nullable=False),
    *_like(jobs, OF_KINDS),
    Column("wanted_name", Text, nullable=False),
    *_like(rows, _OF_ROWS),
    *_like(jobs, _OF_JOBS),
    Column("job_id", BigInteger, nullable=False),
    Column("first", Boolean, nullable=False, server_default=true()),
    Column("last", Boolean, nullable=False, server_default=true()),
    prefixes=["TEMPORARY"],
)
"""``place`` is the index of the manifest among those staged, ``manifest_id`` its id in the table,
or 0 for a new one.

``job_id`` is the id of the content's job or, for a new content, of its future job: higher than all
existing ids. ``first`` and ``last`` mark the first and last of several rows with one content.
"""

FILLED = tuple(staged.c.keys()[:-2])
"""Columns filled for each row; the others are set after all rows are staged."""

NULLABLE = tuple(name for name in FILLED if staged.c[name].nullable)
"""Columns in which "" means NULL."""

staged_key = Index("ix_staged_key", staged.c.key, staged.c.position)
"""Created after all rows are staged, which is faster, and only if keys are looked up."""

_OF_JOB = jobs.c.id == staged.c.job_id


def fill(*, look_up: bool) -> Insert:
    """Add a row with a value for each column of ``FILLED``.

    With ``look_up``, the id of an existing job replaces the given one.
    """
    given = {name: bindparam(name, type_=staged.c[name].type) for name in FILLED}
    values = {**given, **{name: func.nullif(given[name], text("''")) for name in NULLABLE}}
    if look_up:
        existing = select(jobs.c.id).where(jobs.c.key == given["key"]).scalar_subquery()
        values["job_id"] = func.coalesce(existing, given["job_id"])
    return insert(staged).values(values)


def highest_job() -> Select[int]:
    """Read the highest job id."""
    return select(func.coalesce(func.max(jobs.c.id), 0))


def _repeated() -> Select[str]:
    return select(staged.c.key).group_by(staged.c.key).having(func.count() > 1)


def stage_rows_of(manifest_id: int, *, place: int) -> Insert:
    """Stage the rows of a file's last import from the table."""
    values = {
        staged.c.position: rows.c.position,
        staged.c.place: literal(place),
        staged.c.manifest_id: rows.c.manifest_id,
        staged.c.wanted_name: jobs.c.output_name,
        staged.c.job_id: rows.c.job_id,
        **{staged.c[name]: rows.c[name] for name in _OF_ROWS},
        **{staged.c[name]: jobs.c[name] for name in (*OF_KINDS, *_OF_JOBS)},
    }
    imported = select(*values.values()).select_from(rows.join(jobs, jobs.c.id == rows.c.job_id))
    ordered = imported.where(rows.c.manifest_id == manifest_id).order_by(rows.c.position)
    return insert(staged).from_select(list(values), ordered)


def any_shared() -> Select[bool]:
    """Check whether any two rows share a job."""
    return select(func.count(distinct(staged.c.job_id)) < func.count())


def mark_repeats() -> tuple[Update, Update]:
    """Mark the first and the last of the rows with one content."""

    def all_but(chosen: ColumnElement[int]) -> ColumnElement[bool]:
        ends = select(chosen).where(staged.c.key.in_(_repeated())).group_by(staged.c.key)
        return and_(staged.c.key.in_(_repeated()), staged.c.position.not_in(ends))

    return (
        update(staged).where(all_but(func.min(staged.c.position))).values(first=False),
        update(staged).where(all_but(func.max(staged.c.position))).values(last=False),
    )


def share_new_jobs() -> Update:
    """Give rows with one new content one new job: that of the first row."""
    twin = staged.alias()
    ids = select(func.min(twin.c.job_id)).where(twin.c.key == staged.c.key).scalar_subquery()
    return update(staged).where(~staged.c.first).values(job_id=ids)


def count_known(*, after: int) -> Select[int]:
    """Count the rows with an existing job."""
    return select(func.count()).select_from(staged).where(staged.c.job_id <= after)


def count_new(*, after: int) -> Select[int]:
    """Count the contents without a job."""
    return select(func.count()).select_from(staged).where(*_new(after))


def _new(after: int) -> tuple[ColumnElement[bool], ...]:
    return staged.c.job_id > after, staged.c.first


SUFFIXES = (0, 8, 16, 64)
"""A name that is taken gets this many characters of the job's key as a suffix."""


def _name(suffix: int) -> ColumnElement[str]:
    if not suffix:
        return staged.c.wanted_name
    return staged.c.wanted_name + "-" + func.substr(staged.c.key, 1, suffix)


def add_jobs(*, sqlite_dialect: bool, after: int, suffix: int, now: datetime) -> Insert:
    """Add the new jobs; skip existing ones and those whose name is taken.

    Their ids are set here; a server's own sequence is not used.
    """
    values: dict[Column[Any], ColumnElement[Any]] = {
        jobs.c.id: staged.c.job_id,
        **{jobs.c[name]: staged.c[name] for name in (*OF_KINDS, *_OF_JOBS, "take")},
        jobs.c.output_name: _name(suffix),
        jobs.c.output_folded: func.lower(_name(suffix)),
        jobs.c.state: literal(State.PENDING, jobs.c.state.type),
        jobs.c.created_at: literal(now, jobs.c.created_at.type),
        jobs.c.updated_at: literal(now, jobs.c.updated_at.type),
    }
    missing = select(*values.values()).where(*_new(after)).order_by(staged.c.position)
    into = upsert(jobs, sqlite_dialect=sqlite_dialect)
    return into.from_select(list(values), missing).on_conflict_do_nothing()


def take_back_withdrawal(*, now: datetime) -> Update:
    """Requeue jobs that were cancelled only because they had no row."""
    return (
        update(jobs)
        .where(
            jobs.c.state == State.CANCELLED,
            jobs.c.error_type == WITHDRAWN,
            jobs.c.id.in_(select(staged.c.job_id)),
        )
        .values(state=advance(State.CANCELLED, Event.REQUEUED), **fresh_start(now))
    )


def refresh_waiting_jobs(*, now: datetime, repeats_only: bool = False) -> Update:
    """Update priority, price and frame sources of waiting jobs from their last row."""
    facts = (jobs.c.priority, jobs.c.price_micro, jobs.c.start_source)
    differs = or_(
        *(fact != staged.c[fact.name] for fact in facts),
        func.coalesce(jobs.c.end_source, "") != func.coalesce(staged.c.end_source, ""),
    )
    counts = and_(staged.c.last, ~staged.c.first) if repeats_only else staged.c.last
    return (
        update(jobs)
        .where(_OF_JOB, jobs.c.state == State.PENDING, differs, counts)
        .values(
            {fact: staged.c[fact.name] for fact in (*facts, jobs.c.end_source)}
            | {jobs.c.updated_at: now}
        )
    )


def give_back_names(*, now: datetime) -> Update:
    """Remove the names of jobs that were never submitted and whose rows have a new name.

    They are named by their keys until they get a new name.
    """
    return (
        update(jobs)
        .where(
            _OF_JOB,
            jobs.c.state == State.PENDING,
            jobs.c.attempt == 0,
            # The run that holds a leased job may be submitting it under its old name.
            jobs.c.leased_by.is_(None),
            jobs.c.output_name != staged.c.wanted_name,
            jobs.c.output_name.not_in([_name(suffix) for suffix in SUFFIXES]),
            staged.c.first,
        )
        .values(output_name=jobs.c.key, output_folded=jobs.c.key, updated_at=now)
    )


def nameless(*, after: int, limit: int) -> Select[Any]:
    """Read jobs that are named by their keys, with the names that their rows request."""
    return (
        select(staged.c.position, jobs.c.id, jobs.c.key, staged.c.wanted_name)
        .select_from(staged.join(jobs, _OF_JOB))
        .where(staged.c.position > after, jobs.c.output_name == jobs.c.key, staged.c.first)
        .order_by(staged.c.position)
        .limit(limit)
    )


def same_rows(manifest_id: int) -> Select[int]:
    """Count the staged rows that are already in the table unchanged."""
    facts = (rows.c.take, rows.c.position, rows.c.name, rows.c.start_image, rows.c.end_image)
    own = (rows.c.tags, rows.c.extra)
    same = and_(
        rows.c.manifest_id == manifest_id,
        rows.c.number == staged.c.number,
        rows.c.job_id == staged.c.job_id,
        *(fact == staged.c[fact.name] for fact in facts),
        *(cast(fact, Text) == cast(staged.c[fact.name], Text) for fact in own),
    )
    return select(func.count()).select_from(staged.join(rows, same))


def add_rows(manifest_id: int) -> Insert:
    """Add the staged rows to a manifest's."""
    names = ("position", "job_id", *_OF_ROWS)
    query = select(literal(manifest_id), *(staged.c[name] for name in names))
    return rows.insert().from_select(["manifest_id", *names], query.order_by(staged.c.position))

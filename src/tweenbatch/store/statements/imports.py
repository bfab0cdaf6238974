"""Statements that put a manifest into the table."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Delete,
    Insert,
    Select,
    Update,
    bindparam,
    delete,
    distinct,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from tweenbatch.states import Event, State, advance
from tweenbatch.store.schema import jobs, manifests, rows
from tweenbatch.store.statements.work import fresh_start

WITHDRAWN = "withdrawn"
WITHDRAWN_MESSAGE = "no manifest asks for it any more"


def keep_manifest(
    *, sqlite_dialect: bool, path: str, sha256: str, row_count: int, now: datetime
) -> Insert:
    """Record an import of a file, new or known; gives the manifest's id."""
    facts = {"sha256": sha256, "imported_at": now, "row_count": row_count}
    if sqlite_dialect:
        return (
            sqlite.insert(manifests)
            .values(path=path, **facts)
            .on_conflict_do_update(index_elements=[manifests.c.path], set_=facts)
            .returning(manifests.c.id)
        )
    return (
        postgresql.insert(manifests)
        .values(path=path, **facts)
        .on_conflict_do_update(index_elements=[manifests.c.path], set_=facts)
        .returning(manifests.c.id)
    )


def forget_rows(manifest_id: int) -> Delete:
    """Remove the rows of the earlier import."""
    return delete(rows).where(rows.c.manifest_id == manifest_id)


def known_jobs(keys: Collection[str]) -> Select[Any]:
    """Read what the table knows of these keys."""
    return select(
        jobs.c.id,
        jobs.c.key,
        jobs.c.state,
        jobs.c.price_micro,
        jobs.c.priority,
        jobs.c.start_source,
        jobs.c.end_source,
        jobs.c.output_name,
        jobs.c.error_type,
    ).where(jobs.c.key.in_(keys))


def asking_for(keys: Collection[str]) -> Select[Any]:
    """Read for each of these keys the manifest that asks for it and came last, and the count."""
    asking = (
        select(
            jobs.c.key,
            func.max(rows.c.manifest_id).label("manifest_id"),
            func.count(distinct(rows.c.manifest_id)).label("manifests"),
        )
        .select_from(jobs.join(rows, rows.c.job_id == jobs.c.id))
        .where(jobs.c.key.in_(keys))
        .group_by(jobs.c.key)
        .subquery()
    )
    return select(asking.c.key, manifests.c.path, asking.c.manifests).select_from(
        asking.join(manifests, manifests.c.id == asking.c.manifest_id)
    )


def taken_names(folded: Collection[str]) -> Select[str]:
    """Find which of these names a job already has."""
    return select(jobs.c.output_folded).where(jobs.c.output_folded.in_(folded))


def add_jobs(*, sqlite_dialect: bool) -> Insert:
    """Add jobs whose key is new; a key that exists is left alone."""
    if sqlite_dialect:
        return sqlite.insert(jobs).on_conflict_do_nothing(index_elements=[jobs.c.key])
    return postgresql.insert(jobs).on_conflict_do_nothing(index_elements=[jobs.c.key])


def ids_of(keys: Collection[str]) -> Select[str, int]:
    """Read the ids of these keys."""
    return select(jobs.c.key, jobs.c.id).where(jobs.c.key.in_(keys))


def add_rows() -> Insert:
    """Add rows of a manifest."""
    return insert(rows)


def refresh_waiting_job() -> Update:
    """Bring priority, price and frame sources of a waiting job up to date."""
    return (
        update(jobs)
        .where(jobs.c.id == bindparam("job_id"), jobs.c.state == State.PENDING)
        .values(
            priority=bindparam("new_priority"),
            price_micro=bindparam("new_price"),
            start_source=bindparam("new_start"),
            end_source=bindparam("new_end"),
            updated_at=bindparam("now"),
        )
    )


def take_back_withdrawal(job_ids: Collection[int], *, now: datetime) -> Update:
    """Requeue jobs that were cancelled only because no row asked for them."""
    return (
        update(jobs)
        .where(
            jobs.c.id.in_(job_ids),
            jobs.c.state == State.CANCELLED,
            jobs.c.error_type == WITHDRAWN,
        )
        .values(state=advance(State.CANCELLED, Event.REQUEUED), **fresh_start(now))
    )


def withdraw_unasked(*, now: datetime) -> Update:
    """Cancel waiting jobs, not under a lease, that no row of any manifest asks for."""
    return (
        update(jobs)
        .where(
            jobs.c.state == State.PENDING,
            jobs.c.finished_at.is_(None),
            jobs.c.leased_by.is_(None),
            ~exists().where(rows.c.job_id == jobs.c.id),
        )
        .values(
            state=advance(State.PENDING, Event.CANCELLED),
            fence=jobs.c.fence + 1,
            not_before=None,
            error_type=WITHDRAWN,
            error_message=WITHDRAWN_MESSAGE,
            finished_at=now,
            updated_at=now,
        )
    )


def count_jobs_of(manifest_id: int) -> Select[int]:
    """Count the different jobs that the manifest's rows ask for."""
    return select(func.count(distinct(rows.c.job_id))).where(rows.c.manifest_id == manifest_id)


def earlier_rows(path: str) -> Select[Any]:
    """Read the rows of the last import of a file, with the content of their jobs."""
    return (
        select(
            rows.c.number,
            rows.c.name,
            rows.c.take.label("row_take"),
            rows.c.start_image,
            rows.c.end_image,
            jobs,
        )
        .select_from(
            manifests.join(rows, rows.c.manifest_id == manifests.c.id).join(
                jobs, jobs.c.id == rows.c.job_id
            )
        )
        .where(manifests.c.path == path)
        .order_by(rows.c.position)
    )

"""Statements that find and lease due jobs; each is built once."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    or_,
    select,
    update,
)

from tweenbatch.states import State
from tweenbatch.store.schema import jobs, rows
from tweenbatch.store.statements.base import Prepared


def claim(
    run_id: int,
    state: State,
    *,
    limit: int,
    now: datetime,
    until: datetime,
    manifests: Collection[int] | None,
    only: Collection[int] | None,
    closed: Collection[str],
) -> Prepared[Update]:
    """Lease due jobs by priority; returns their ids, unordered.

    SQLite ignores the lock clause: its transaction excludes all other writers.
    """
    named = _named(manifests=manifests, only=only, closed=closed or None)
    statement = _claim(
        state,
        of_manifests="manifests" in named,
        of_ids="only" in named,
        skip_closed="closed" in named,
    )
    return statement, {"run": run_id, "most": limit, "now": now, "until": until, **named}


@cache
def _claim(state: State, *, of_manifests: bool, of_ids: bool, skip_closed: bool) -> Update:
    run: BindParameter[int] = bindparam("run")
    now: BindParameter[datetime] = bindparam("now")
    due = (
        select(jobs.c.id)
        .where(
            jobs.c.state == state,
            jobs.c.finished_at.is_(None),
            or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now),
            # Our own expired lease (the clock jumped, the machine slept) is still ours.
            or_(
                jobs.c.leased_by.is_(None),
                and_(jobs.c.lease_until <= now, jobs.c.leased_by != run),
            ),
            *asked_for(state, of_manifests=of_manifests),
            *([jobs.c.id.in_(bindparam("only", expanding=True))] if of_ids else []),
            *([jobs.c.endpoint.not_in(bindparam("closed", expanding=True))] if skip_closed else []),
        )
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True, of=jobs)
        .cte("due")
    )
    return (
        update(jobs)
        .where(jobs.c.id.in_(select(due.c.id)))
        .values(
            leased_by=run, lease_until=bindparam("until"), fence=jobs.c.fence + 1, updated_at=now
        )
        .returning(jobs.c.id)
    )


def waiting_in_order(manifests: Collection[int] | None) -> Prepared[Select[int]]:
    """Read the waiting jobs that have a row, in order of their import."""
    named = _named(manifests=manifests)
    return _waiting_in_order(of_manifests="manifests" in named), named


@cache
def _waiting_in_order(*, of_manifests: bool) -> Select[int]:
    return (
        select(jobs.c.id)
        .where(
            jobs.c.state == State.PENDING,
            jobs.c.finished_at.is_(None),
            *asked_for(State.PENDING, of_manifests=of_manifests),
        )
        .order_by(jobs.c.id)
    )


def earliest_due(
    state: State, *, now: datetime, manifests: Collection[int] | None
) -> Prepared[Select[datetime]]:
    """Find when the next delayed free job of that state is due."""
    named = _named(manifests=manifests)
    return _earliest_due(state, of_manifests="manifests" in named), {"now": now, **named}


@cache
def _earliest_due(state: State, *, of_manifests: bool) -> Select[datetime]:
    return (
        select(jobs.c.not_before)
        .where(
            jobs.c.state == state,
            jobs.c.finished_at.is_(None),
            jobs.c.not_before.is_not(None),
            jobs.c.not_before > bindparam("now"),
            jobs.c.leased_by.is_(None),
            *asked_for(state, of_manifests=of_manifests),
        )
        .order_by(jobs.c.not_before)
        .limit(1)
    )


def asked_for(state: State, *, of_manifests: bool = False) -> list[ColumnElement[bool]]:
    """Return the condition that a row still asks for the job; only waiting jobs need it.

    ``of_manifests``: the row must belong to the parameter ``manifests``.
    """
    asks = exists().where(rows.c.job_id == jobs.c.id)
    if of_manifests:
        return [asks.where(rows.c.manifest_id.in_(bindparam("manifests", expanding=True)))]
    return [asks] if state is State.PENDING else []


def _named(**collections: Collection[int] | Collection[str] | None) -> dict[str, Any]:
    """Return the given collections as parameters."""
    return {name: sorted(ids) for name, ids in collections.items() if ids is not None}

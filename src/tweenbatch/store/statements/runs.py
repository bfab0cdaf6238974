"""Statements about runs: start, end, heartbeat, money, pauses, and cleaning up dead runs."""

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    case,
    false,
    func,
    insert,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from tweenbatch.records import Billed, Night
from tweenbatch.states import FINAL, IDENTIFIED, Event, State, advance
from tweenbatch.store.attempts import AFTER, AttemptOutcome
from tweenbatch.store.schema import attempts, jobs, pauses, runs
from tweenbatch.store.statements.base import Prepared
from tweenbatch.store.types import Dollars

RUNNER_DIED = "runner_died"
RUNNER_DIED_MESSAGE = (
    "the run ended after the submission may have been sent and before its answer arrived"
)


def start_run(
    *,
    host: str,
    pid: int,
    version: str,
    now: datetime,
    max_cost_usd: Decimal | None,
    night: Night | None,
    asked: str | None,
) -> Insert:
    """Open a run; returns its id."""
    return (
        insert(runs)
        .values(
            host=host,
            pid=pid,
            version=version,
            started_at=now,
            heartbeat_at=now,
            max_cost_micro=max_cost_usd,
            committed_micro=Decimal(0),
            job=night.job if night else None,
            night=night.date if night else None,
            asked=asked,
        )
        .returning(runs.c.id)
    )


def committed_in(night: Night) -> Select[Decimal | None]:
    """Sum the committed amounts of a night's runs."""
    return select(type_coerce(func.sum(runs.c.committed_micro), Dollars)).where(
        runs.c.job == night.job, runs.c.night == night.date
    )


def high_water_mark() -> Select[Any]:
    """Read the last run with its heartbeat, and the last attempt."""
    last_attempt = select(func.coalesce(func.max(attempts.c.id), 0)).scalar_subquery()
    return (
        select(
            runs.c.id.label("run_id"),
            last_attempt.label("attempt_id"),
            runs.c.heartbeat_at.label("at"),
        )
        .order_by(runs.c.id.desc())
        .limit(1)
    )


_OF_RUN = runs.c.id == bindparam("of_run")
_BEAT = update(runs).where(_OF_RUN)
_EXTEND = update(jobs).where(jobs.c.leased_by == bindparam("of_run"))


def beat(run_id: int, *, now: datetime) -> Prepared[Update]:
    """Record that the run lives."""
    return _BEAT, {"of_run": run_id, "heartbeat_at": now}


def extend_leases(run_id: int, *, until: datetime) -> Prepared[Update]:
    """Extend every lease of the run."""
    return _EXTEND, {"of_run": run_id, "lease_until": until}


def finish_run(run_id: int, *, now: datetime, exit_code: int, note: str) -> Update:
    """Close a run."""
    return (
        update(runs)
        .where(runs.c.id == run_id)
        .values(finished_at=now, heartbeat_at=now, exit_code=exit_code, note=note)
    )


def free_leases_of(run_id: int, *, now: datetime) -> Update:
    """Release the run's jobs except submissions in progress."""
    return _freed(now=now).where(jobs.c.leased_by == run_id)


def bury_runs(run_id: int, *, now: datetime, silent_since: datetime | None) -> Update:
    """Close every other open run; on a server only those without a heartbeat since then."""
    silent = true() if silent_since is None else runs.c.heartbeat_at <= silent_since
    return (
        update(runs)
        .where(runs.c.id != run_id, runs.c.finished_at.is_(None), silent)
        .values(finished_at=now, note="died")
    )


def free_dead_leases(run_id: int, *, now: datetime, expired_only: bool) -> Update:
    """Release the jobs of dead runs except submissions in progress."""
    return _freed(now=now).where(_dead(run_id, now=now, expired_only=expired_only))


def wake_paid_work(*, now: datetime) -> Update:
    """Make delayed paid jobs due at once."""
    return (
        update(jobs)
        .where(
            jobs.c.state.in_(IDENTIFIED),
            jobs.c.finished_at.is_(None),
            jobs.c.not_before.is_not(None),
            jobs.c.leased_by.is_(None),
        )
        .values(not_before=None, updated_at=now)
    )


def doubt_dead_submissions(run_id: int, *, now: datetime, expired_only: bool) -> Update:
    """Mark submissions of dead runs as uncertain; returns job ids and attempts.

    The fence increases, so that a late write of the dead run is refused.
    """
    return (
        update(jobs)
        .where(
            jobs.c.state == State.SUBMITTING,
            _dead(run_id, now=now, expired_only=expired_only),
        )
        .values(
            state=advance(State.SUBMITTING, Event.OUTCOME_UNKNOWN),
            fence=jobs.c.fence + 1,
            leased_by=None,
            lease_until=None,
            not_before=None,
            error_type=RUNNER_DIED,
            error_message=RUNNER_DIED_MESSAGE,
            updated_at=now,
        )
        .returning(jobs.c.id, jobs.c.attempt)
    )


def doubt_attempt(job_id: int, number: int) -> Update:
    """Record that the outcome of the attempt is unknown."""
    return (
        update(attempts)
        .where(
            attempts.c.job_id == job_id,
            attempts.c.number == number,
            attempts.c.outcome == AttemptOutcome.OPEN,
        )
        .values(
            outcome=AFTER[Event.OUTCOME_UNKNOWN],
            error_type=RUNNER_DIED,
            error_message=RUNNER_DIED_MESSAGE,
        )
    )


_COMMITTED = runs.c.committed_micro + bindparam("price", type_=Dollars)
_RESERVE = (
    update(runs)
    .where(
        _OF_RUN,
        or_(runs.c.max_cost_micro.is_(None), runs.c.max_cost_micro >= _COMMITTED),
    )
    .values(committed_micro=_COMMITTED)
)


_NOT_FREE = or_(attempts.c.billed.is_(None), attempts.c.billed != Billed.NO)
"""An attempt that was or may have been billed."""


def reserve(run_id: int, price_usd: Decimal) -> Prepared[Update]:
    """Commit an amount within the run's limit; changes no row if it would exceed it."""
    return _RESERVE, {"of_run": run_id, "price": price_usd}


def committed_since(since: datetime) -> Select[Decimal | None]:
    """Sum the prices of all attempts since then that were or may have been billed."""
    return select(type_coerce(func.sum(attempts.c.price_micro), Dollars)).where(
        attempts.c.started_at >= since, _NOT_FREE
    )


def charge_more(run_id: int, more_usd: Decimal) -> Update:
    """Add the amount that fal billed beyond the reserved price, up to the run's limit."""
    return (
        update(runs)
        .where(runs.c.id == run_id)
        .values(committed_micro=_at_most_the_limit(runs.c.committed_micro + more_usd))
    )


def give_back(run_id: int, price_usd: Decimal) -> Update:
    """Release the price of an unbilled attempt from the run's committed amount.

    A run at its limit may have been billed more, so its attempts are summed again.
    """
    counted = (
        select(func.coalesce(func.sum(attempts.c.price_micro), 0))
        .where(attempts.c.run_id == run_id, _NOT_FREE)
        .scalar_subquery()
    )
    return (
        update(runs)
        .where(runs.c.id == run_id)
        .values(
            committed_micro=case(
                (
                    runs.c.committed_micro == runs.c.max_cost_micro,
                    _at_most_the_limit(type_coerce(counted, Dollars)),
                ),
                else_=runs.c.committed_micro - price_usd,
            )
        )
    )


def _at_most_the_limit(usd: ColumnElement[Decimal]) -> ColumnElement[Decimal]:
    return case((usd > runs.c.max_cost_micro, runs.c.max_cost_micro), else_=usd)


def _freed(*, now: datetime) -> Update:
    return (
        update(jobs)
        .where(jobs.c.state != State.SUBMITTING, jobs.c.state.not_in(FINAL))
        .values(leased_by=None, lease_until=None, fence=jobs.c.fence + 1, updated_at=now)
    )


def _dead(run_id: int, *, now: datetime, expired_only: bool) -> ColumnElement[bool]:
    return and_(
        jobs.c.leased_by.is_not(None),
        jobs.c.leased_by != run_id,
        or_(jobs.c.lease_until <= now, false() if expired_only else true()),
    )


@cache
def paused_since() -> Select[datetime]:
    """Read since when there is an open pause."""
    return select(pauses.c.since).where(pauses.c.lifted_at.is_(None)).order_by(pauses.c.id).limit(1)


def begin_pause(*, now: datetime) -> Insert:
    """Open a pause."""
    return insert(pauses).values(since=now)


def lift_pause(*, now: datetime) -> Update:
    """Close every open pause."""
    return update(pauses).where(pauses.c.lifted_at.is_(None)).values(lifted_at=now)

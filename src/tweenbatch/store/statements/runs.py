"""Statements about runs: their beginning and end, their heartbeat, their money, their dead."""

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
RUNNER_DIED_MESSAGE = "the run ended after the submission may have left and before its answer came"


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
    """Open a run; gives its id."""
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
    """Sum what the runs of a night have committed."""
    return select(type_coerce(func.sum(runs.c.committed_micro), Dollars)).where(
        runs.c.job == night.job, runs.c.night == night.date
    )


def high_water_mark() -> Select[Any]:
    """Read the last run with its last sign of life, and the last attempt."""
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
    """Say that the run lives."""
    return _BEAT, {"of_run": run_id, "heartbeat_at": now}


def extend_leases(run_id: int, *, until: datetime) -> Prepared[Update]:
    """Prolong every lease of the run."""
    return _EXTEND, {"of_run": run_id, "lease_until": until}


def finish_run(run_id: int, *, now: datetime, exit_code: int, note: str) -> Update:
    """Close a run."""
    return (
        update(runs)
        .where(runs.c.id == run_id)
        .values(finished_at=now, heartbeat_at=now, exit_code=exit_code, note=note)
    )


def free_leases_of(run_id: int, *, now: datetime) -> Update:
    """Give back what the run holds, but for submissions in the air."""
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
    """Free what dead runs held, but for submissions in the air."""
    return _freed(now=now).where(_dead(run_id, now=now, expired_only=expired_only))


def wake_paid_work(*, now: datetime) -> Update:
    """Let what is paid for, and was laid aside by an earlier run, be taken up at once."""
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
    """Turn dead runs' submissions in the air into uncertain ones; gives job id and attempt.

    The fence moves on, so that a write of the dead run, should it come, is refused.
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
    """Record that nobody knows what became of the attempt."""
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
"""An attempt that is not known to be unbilled."""


def reserve(run_id: int, price_usd: Decimal) -> Prepared[Update]:
    """Commit an amount under the run's limit; touches no row where it would pass it."""
    return _RESERVE, {"of_run": run_id, "price": price_usd}


def committed_since(since: datetime) -> Select[Decimal | None]:
    """Sum the prices of all attempts begun since then that are not known to be unbilled."""
    return select(type_coerce(func.sum(attempts.c.price_micro), Dollars)).where(
        attempts.c.started_at >= since, _NOT_FREE
    )


def charge_more(run_id: int, more_usd: Decimal) -> Update:
    """Add what fal billed beyond what was reserved; at the run's limit it stays there."""
    return (
        update(runs)
        .where(runs.c.id == run_id)
        .values(committed_micro=_at_most_the_limit(runs.c.committed_micro + more_usd))
    )


def give_back(run_id: int, price_usd: Decimal) -> Update:
    """Take an amount out of what the run has committed, once its attempt says that it is free.

    A run that stands at its limit may have been billed beyond it: its attempts are counted anew.
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

"""Statements that read what a digest shows: past runs, and the jobs and money of each."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Update, and_, func, select, update

from tweenbatch.states import State
from tweenbatch.store.schema import artifacts, attempts, jobs, runs


def latest(*, limit: int) -> Select[Any]:
    """Read the latest runs, the newest first."""
    return _runs().order_by(runs.c.id.desc()).limit(limit)


def first() -> Select[Any]:
    """Read the first run of the table."""
    return _runs().order_by(runs.c.id).limit(1)


def one(run_id: int) -> Select[Any]:
    """Read a run."""
    return _runs().where(runs.c.id == run_id)


def latest_of(job: str) -> Select[Any]:
    """Read the latest run of a job file."""
    return _runs().where(runs.c.job == job).order_by(runs.c.night.desc(), runs.c.id.desc()).limit(1)


def unnotified(job: str) -> Select[Any]:
    """Read the ended runs of a job file whose digest was not sent, in order."""
    return (
        _runs()
        .where(runs.c.job == job, runs.c.finished_at.is_not(None), runs.c.notified_at.is_(None))
        .order_by(runs.c.id)
    )


def mark_notified(run_id: int, *, now: datetime) -> Update:
    """Record that the digest was sent."""
    return update(runs).where(runs.c.id == run_id).values(notified_at=now)


def _runs() -> Select[Any]:
    return select(
        runs.c.id,
        runs.c.host,
        runs.c.pid,
        runs.c.version,
        runs.c.started_at,
        runs.c.heartbeat_at,
        runs.c.finished_at,
        runs.c.exit_code,
        runs.c.note,
        runs.c.committed_micro.label("committed_usd"),
        runs.c.job,
        runs.c.night,
        runs.c.asked,
        runs.c.notified_at,
    )


def money_of(run_id: int) -> Select[Any]:
    """Sum the prices of a run's attempts by outcome and billing."""
    return (
        select(
            attempts.c.billed,
            attempts.c.outcome,
            func.count().label("attempts"),
            func.sum(attempts.c.price_micro).label("price_usd"),
        )
        .where(attempts.c.run_id == run_id)
        .group_by(attempts.c.billed, attempts.c.outcome)
    )


def clips(begins: datetime, ends: datetime) -> Select[Any]:
    """Read the clips downloaded in that time, with the time of acceptance."""
    return (
        select(
            jobs.c.output_name,
            attempts.c.endpoint,
            attempts.c.accepted_at,
            attempts.c.finished_at,
        )
        .select_from(
            artifacts.join(attempts, attempts.c.id == artifacts.c.attempt_id).join(
                jobs, jobs.c.id == artifacts.c.job_id
            )
        )
        .where(
            _between(artifacts.c.created_at, begins, ends),
            attempts.c.accepted_at.is_not(None),
            attempts.c.finished_at.is_not(None),
        )
    )


def _between(column: Column[datetime], begins: datetime, ends: datetime) -> ColumnElement[bool]:
    return and_(column >= begins, column <= ends)


def failed(begins: datetime, ends: datetime) -> Select[Any]:
    """Count the failures of that time by error type, with one message of each."""
    return (
        select(
            jobs.c.error_type,
            func.count().label("jobs"),
            func.max(jobs.c.error_message).label("message"),
            func.min(jobs.c.output_name).label("name"),
        )
        .where(jobs.c.state == State.FAILED, _between(jobs.c.finished_at, begins, ends))
        .group_by(jobs.c.error_type)
        .order_by(func.count().desc(), jobs.c.error_type)
    )

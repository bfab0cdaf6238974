"""Statements that change jobs by compare-and-set, and their attempts."""

from collections.abc import Collection, Mapping
from datetime import datetime
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
    exists,
    insert,
    select,
    update,
)

from tweenbatch.records import Artifact, Billed, Failure, Intent, Job
from tweenbatch.states import FINAL, Event, State, advance
from tweenbatch.store.attempts import AFTER, AttemptOutcome
from tweenbatch.store.schema import artifacts, attempts, jobs
from tweenbatch.store.statements.base import Prepared
from tweenbatch.store.statements.claims import asked_for

CANCELLED = "cancelled"
CANCELLED_MESSAGE = "cancelled by a person"


_OF_ATTEMPT = (
    attempts.c.id.label("attempt_id"),
    attempts.c.payload,
    attempts.c.started_at,
    attempts.c.key_fingerprint,
    attempts.c.billed,
    attempts.c.request_id,
    attempts.c.status_url,
    attempts.c.response_url,
    attempts.c.cancel_url,
    attempts.c.accepted_at,
    attempts.c.video_url,
    attempts.c.video_bytes,
    attempts.c.video_content_type,
    attempts.c.unfetched_since,
)
"""The columns of an attempt that are read with its job."""

_OF_CLIP = (
    artifacts.c.path.label("clip_path"),
    artifacts.c.bytes.label("clip_bytes"),
    artifacts.c.sha256.label("clip_sha256"),
    artifacts.c.created_at.label("clip_kept_at"),
)
"""The columns of an attempt's clip that are read with its job."""


@cache
def jobs_with_attempt() -> Select[Any]:
    """Read the jobs of ``job_ids`` with their latest attempt, by priority.

    This is the widest statement and part of every change, so it is built once.
    """
    return _with_attempt().where(jobs.c.id.in_(bindparam("job_ids", expanding=True)))


@cache
def jobs_in(state: State) -> Select[Any]:
    """Read all jobs of a state with their latest attempt, regardless of leases."""
    return _with_attempt().where(jobs.c.state == state, jobs.c.finished_at.is_(None))


def waiting(endpoint: str, prompts: Collection[str]) -> Select[Any]:
    """Read the waiting jobs of an endpoint with one of these prompts and with a row."""
    return _with_attempt().where(
        jobs.c.state == State.PENDING,
        jobs.c.finished_at.is_(None),
        jobs.c.endpoint == endpoint,
        jobs.c.prompt.in_(prompts),
        *asked_for(State.PENDING),
    )


def _with_attempt() -> Select[Any]:
    latest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)
    return (
        select(jobs, *_OF_ATTEMPT, *_OF_CLIP)
        .select_from(
            jobs.outerjoin(attempts, latest).outerjoin(
                artifacts, artifacts.c.attempt_id == attempts.c.id
            )
        )
        .order_by(jobs.c.priority.desc(), jobs.c.id)
    )


_AS_KNOWN = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("of_job"),
        jobs.c.state == bindparam("from_state"),
        jobs.c.fence == bindparam("under_fence"),
    )
    .returning(jobs)
)
_MOVE_HELD = _AS_KNOWN.where(jobs.c.leased_by == bindparam("held_by"))


def move_job(job: Job, *, run_id: int, values: Mapping[str, Any]) -> Prepared[Update]:
    """Change a job if it is unchanged and leased by this run; returns the job or no row.

    A job in a final state has no lease; the table enforces that.
    """
    parameters = {"of_job": job.id, "from_state": job.state, "under_fence": job.fence, **values}
    if job.state in FINAL:
        return _AS_KNOWN, parameters
    return _MOVE_HELD, {**parameters, "held_by": run_id}


def settle_job(job: Job, *, values: Mapping[str, Any]) -> Update:
    """Change a job if it is unchanged, regardless of its lease; the fence increases."""
    free = {"leased_by": None, "lease_until": None, "fence": jobs.c.fence + 1}
    return update(jobs).where(*_unchanged(job)).values(**{**values, **free})


def _unchanged(job: Job) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.id == job.id, jobs.c.state == job.state, jobs.c.fence == job.fence


def lease_job(job: Job, run_id: int, *, until: datetime) -> Update:
    """Lease a job if it is unchanged and free."""
    return (
        update(jobs)
        .where(*_unchanged(job), jobs.c.leased_by.is_(None))
        .values(leased_by=run_id, lease_until=until, fence=jobs.c.fence + 1)
    )


def release_job(job: Job, *, now: datetime, not_before: datetime | None) -> Update:
    """Release a lease."""
    return (
        update(jobs)
        .where(*_unchanged(job), jobs.c.leased_by.is_not(None))
        .values(leased_by=None, lease_until=None, not_before=not_before, updated_at=now)
    )


def requeue_jobs(
    job_ids: Collection[int], source: State, target: State, *, now: datetime
) -> Update:
    """Requeue jobs of one final state, as if they had never failed."""
    return (
        update(jobs)
        .where(jobs.c.id.in_(job_ids), jobs.c.state == source)
        .values(state=target, **fresh_start(now))
    )


def miss_jobs(job_ids: Collection[int], source: State, *, now: datetime) -> Update:
    """Queue paid clips of jobs in a final state for download again; returns the job ids."""
    at_fal = exists().where(
        attempts.c.job_id == jobs.c.id,
        attempts.c.number == jobs.c.attempt,
        attempts.c.billed == Billed.YES,
        attempts.c.video_url.is_not(None),
    )
    return (
        update(jobs)
        .where(jobs.c.id.in_(job_ids), jobs.c.state == source, at_fal)
        .values(
            state=advance(source, Event.MISSED),
            fence=jobs.c.fence + 1,
            not_before=None,
            error_type=None,
            error_message=None,
            finished_at=None,
            updated_at=now,
        )
        .returning(jobs.c.id)
    )


def miss_attempts(job_ids: Collection[int]) -> Update:
    """Record that the clips of these jobs' latest attempts must be downloaded."""
    latest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)
    ids = select(attempts.c.id).join(jobs, latest).where(jobs.c.id.in_(job_ids))
    return (
        update(attempts)
        .where(attempts.c.id.in_(ids))
        .values(outcome=AFTER[Event.MISSED], finished_at=None)
    )


def note_unfetched(job: Job, *, now: datetime) -> Update:
    """Record since when the clip of the latest attempt can't be downloaded."""
    return (
        update(attempts)
        .where(
            attempts.c.job_id == job.id,
            attempts.c.number == job.attempt,
            attempts.c.unfetched_since.is_(None),
        )
        .values(unfetched_since=now)
    )


def cancel_waiting(job_ids: Collection[int], *, now: datetime) -> Update:
    """Cancel waiting jobs, regardless of leases; returns the ids of the cancelled jobs."""
    return (
        update(jobs)
        .where(jobs.c.id.in_(job_ids), jobs.c.state == State.PENDING, jobs.c.finished_at.is_(None))
        .values(
            leased_by=None, lease_until=None, **cancelled(CANCELLED, CANCELLED_MESSAGE, now=now)
        )
        .returning(jobs.c.id)
    )


def cancelled(error_type: str, message: str, *, now: datetime) -> dict[str, Any]:
    """Return the new values of a cancelled waiting job."""
    return {
        "state": advance(State.PENDING, Event.CANCELLED),
        "fence": jobs.c.fence + 1,
        "not_before": None,
        "error_type": error_type,
        "error_message": message,
        "finished_at": now,
        "updated_at": now,
    }


def fresh_start(now: datetime) -> dict[str, Any]:
    """Return the reset values of a requeued job."""
    return {
        "tries": 0,
        "fence": jobs.c.fence + 1,
        "not_before": None,
        "error_type": None,
        "error_message": None,
        "finished_at": None,
        "updated_at": now,
    }


_ATTEMPT = insert(attempts).returning(*_OF_ATTEMPT)
_ATTEMPT_SO_FAR = select(
    attempts.c.id, attempts.c.run_id, attempts.c.price_micro, attempts.c.billed
).where(attempts.c.job_id == bindparam("of_job"), attempts.c.number == bindparam("of_number"))
_RECORD = update(attempts).where(attempts.c.id == bindparam("of_attempt")).returning(*_OF_ATTEMPT)
_ARTIFACT = insert(artifacts)
_SAME_ARTIFACT = update(artifacts).where(artifacts.c.attempt_id == bindparam("of_attempt"))


def open_attempt(
    job: Job, intent: Intent, *, digest: str, run_id: int, now: datetime
) -> Prepared[Insert]:
    """Record an intent; returns the attempt."""
    return _ATTEMPT, {
        "job_id": job.id,
        "number": job.attempt + 1,
        "run_id": run_id,
        "endpoint": job.spec.endpoint,
        "host": intent.host,
        "payload": intent.payload,
        "payload_sha256": digest,
        "key_fingerprint": intent.key_fingerprint,
        "price_micro": intent.price_usd,
        "started_at": now,
        "outcome": AttemptOutcome.OPEN,
    }


def latest_attempt(job: Job) -> Prepared[Select[Any]]:
    """Read the billing, price and run of the job's latest attempt."""
    return _ATTEMPT_SO_FAR, {"of_job": job.id, "of_number": job.attempt}


def latest_request(job_id: int) -> Select[Any]:
    """Read the latest attempt of a job with a request id."""
    return (
        select(*_OF_ATTEMPT)
        .where(attempts.c.job_id == job_id, attempts.c.request_id.is_not(None))
        .order_by(attempts.c.id.desc())
        .limit(1)
    )


def read_attempt(attempt_id: int) -> Select[Any]:
    """Read the billing, price, run and number of an attempt."""
    return select(
        attempts.c.number, attempts.c.run_id, attempts.c.price_micro, attempts.c.billed
    ).where(attempts.c.id == attempt_id)


def note_trouble(job: Job, failure: Failure, *, now: datetime) -> Update:
    """Record the problem that delays a leased job."""
    return (
        update(jobs)
        .where(*_unchanged(job), jobs.c.leased_by.is_not(None))
        .values(error_type=failure.type, error_message=failure.message, updated_at=now)
    )


def clip_at(url: str, *, besides: int | None) -> Select[str]:
    """Find another attempt's clip with this URL."""
    return (
        select(jobs.c.output_name)
        .select_from(attempts.join(jobs, attempts.c.job_id == jobs.c.id))
        .where(attempts.c.video_url == url, attempts.c.id != besides)
        .limit(1)
    )


def owned(request_ids: Collection[str]) -> Select[str]:
    """Read which of these requests belong to an attempt."""
    return select(attempts.c.request_id).where(attempts.c.request_id.in_(request_ids))


def requests_since(endpoint: str, since: datetime) -> Select[Any]:
    """Read our accepted requests at an endpoint since then."""
    return select(
        attempts.c.id.label("attempt_id"),
        attempts.c.request_id,
        attempts.c.key_fingerprint,
        attempts.c.payload_sha256,
        attempts.c.started_at.label("sent_at"),
        case(
            (attempts.c.outcome == AttemptOutcome.SUCCEEDED, attempts.c.finished_at),
        ).label("finished_at"),
    ).where(
        attempts.c.started_at >= since,
        attempts.c.endpoint == endpoint,
        attempts.c.request_id.is_not(None),
    )


def record_attempt(attempt_id: int, values: Mapping[str, Any]) -> Prepared[Update]:
    """Record the outcome of an attempt; returns the attempt."""
    return _RECORD, {"of_attempt": attempt_id, **values}


def keep_artifact(
    artifact: Artifact, *, job_id: int, attempt_id: int, now: datetime
) -> Prepared[Insert]:
    """Record a downloaded clip."""
    return _ARTIFACT, {
        "job_id": job_id,
        "attempt_id": attempt_id,
        "created_at": now,
        **_facts(artifact),
    }


def replace_artifact(artifact: Artifact, *, attempt_id: int) -> Prepared[Update]:
    """Record the new file of a clip downloaded again; its creation time stays."""
    return _SAME_ARTIFACT, {"of_attempt": attempt_id, **_facts(artifact)}


def _facts(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": str(artifact.path),
        "url": artifact.url,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "seconds": artifact.seconds,
        "width": artifact.width,
        "height": artifact.height,
    }

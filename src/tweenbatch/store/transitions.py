"""Change one job with its attempt and its money, in one transaction."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from tweenbatch.errors import BudgetReached, LeaseLost
from tweenbatch.records import Billed, Failure, Intent, Job, Outcome, PeriodLimit, Request
from tweenbatch.states import AT_FAL, FINAL, Event, ImpossibleTransition, State, advance
from tweenbatch.store.attempts import AFTER, CONCLUDED, billed_after
from tweenbatch.store.reading import job_of, job_with_attempt
from tweenbatch.store.refusals import is_duplicate
from tweenbatch.store.statements import runs, work

LEASE = timedelta(seconds=60)

_NEEDED = {
    Event.ACCEPTED: "request",
    Event.REOPENED: "request",
    Event.GENERATED: "video",
    Event.FETCHED: "artifact",
}
"""The fact that each event requires."""

SETTLED_FROM_OUTSIDE = frozenset({State.UNCERTAIN, State.FAILED})
"""States that fal's history, a witness or a person may resolve, regardless of the lease."""

SETTLED_BY_A_PERSON = frozenset(
    {
        (State.SUBMITTED, Event.CANCELLED),
        (State.SUBMITTED, Event.GAVE_UP),
        (State.READY, Event.GAVE_UP),
    }
)
"""Events that only a person may record: a stopped request, or a clip that can't be downloaded."""

_UNLEASED = FINAL | {State.PENDING, State.UNCERTAIN}
"""A job that reaches one of these states is released."""


def begin_attempt(
    connection: Connection,
    job: Job,
    intent: Intent,
    *,
    run_id: int,
    now: datetime,
    sent_at: datetime | None = None,
    periods: Sequence[PeriodLimit] = (),
) -> Job:
    """Record the intent and reserve its price; raises ``BudgetReached`` or ``LeaseLost``."""
    values = {
        "state": advance(job.state, Event.SUBMIT_STARTED),
        "attempt": job.attempt + 1,
        "lease_until": now + LEASE,
        "not_before": None,
        "error_type": None,
        "error_message": None,
        "updated_at": now,
    }
    moved = _move(connection, job, run_id=run_id, values=values)
    if connection.execute(*runs.reserve(run_id, intent.price_usd)).rowcount != 1:
        raise BudgetReached(
            f"the next submission costs ${intent.price_usd} and would exceed this run's limit",
            option="--max-cost",
        )
    for period in periods:
        _refuse_beyond(connection, period, intent.price_usd)
    digest = hashlib.sha256(intent.payload.encode()).hexdigest()
    opened = work.open_attempt(
        job, intent, digest=digest, run_id=run_id, now=now if sent_at is None else sent_at
    )
    return job_with_attempt(moved, connection.execute(*opened).one())


def _refuse_beyond(connection: Connection, period: PeriodLimit, price_usd: Decimal) -> None:
    """Raise ``BudgetReached`` if the price would exceed the period's limit."""
    committed = connection.execute(runs.committed_since(period.begins)).scalar() or Decimal(0)
    if committed + price_usd > period.usd:
        raise BudgetReached(
            f"the next submission costs ${price_usd}, and ${committed} of the ${period.usd} of "
            f"{period.option} is already spent or reserved",
            option=period.option,
            until=period.ends,
        )


def record(
    connection: Connection, job: Job, outcome: Outcome, *, run_id: int, now: datetime
) -> Job:
    """Record the outcome of a stage; raises ``LeaseLost`` or ``ImpossibleTransition``."""
    if outcome.event is Event.REOPENED:
        raise ImpossibleTransition("only settle reopens a failed job, outside a run")
    values = _job_update(job, outcome, now=now)
    moved = _move(connection, job, run_id=run_id, values=values)
    if job.state not in AT_FAL:
        return read_job(connection, job.id)
    return job_with_attempt(moved, _record_attempt(connection, job, outcome, now=now))


def adopt(
    connection: Connection,
    job: Job,
    intent: Intent,
    request: Request,
    *,
    run_id: int,
    sent_at: datetime,
    now: datetime,
) -> Job:
    """Move a waiting job to ``submitted`` with a request that fal already accepted.

    Raises ``LeaseLost``, or ``ImpossibleTransition`` if another attempt has the request.
    """
    if connection.execute(work.lease_job(job, run_id, until=now + LEASE)).rowcount != 1:
        raise LeaseLost(
            f"job {job.id} has changed: expected {job.state}, no lease, fence {job.fence}"
        )
    leased = read_job(connection, job.id)
    begun = begin_attempt(connection, leased, intent, run_id=run_id, now=sent_at)
    accepted = Outcome(event=Event.ACCEPTED, request=request)
    adopted = record(connection, begun, accepted, run_id=run_id, now=sent_at)
    connection.execute(work.release_job(adopted, now=now, not_before=None))
    return read_job(connection, job.id)


def take_back(connection: Connection, earlier: Job, *, run_id: int, now: datetime) -> Job:
    """Move a leased waiting job back to an earlier attempt and its request.

    The states are those of a new submission. Raises ``LeaseLost``, or ``BudgetReached`` if its
    released price does not fit into this run.
    """
    assert earlier.attempt_id is not None
    attempt = connection.execute(work.read_attempt(earlier.attempt_id)).one()
    # The attempt becomes the latest again, even after later refused ones.
    number = earlier.attempt if attempt.number == earlier.attempt else earlier.attempt + 1
    moved = _move(
        connection,
        earlier,
        run_id=run_id,
        values={
            "state": advance(advance(earlier.state, Event.SUBMIT_STARTED), Event.ACCEPTED),
            "attempt": number,
            # It was counted as a failure, and made its clip after all.
            "tries": max(0, earlier.tries - 1),
            "not_before": None,
            "error_type": None,
            "error_message": None,
            "updated_at": now,
        },
    )
    values: dict[str, Any] = {
        "number": number,
        "outcome": AFTER[Event.ACCEPTED],
        "billed": attempt.billed,
        "finished_at": None,
        "video_url": None,
        "video_bytes": None,
        "video_content_type": None,
    }
    if attempt.billed is Billed.NO:
        if connection.execute(*runs.reserve(run_id, attempt.price_micro)).rowcount != 1:
            raise BudgetReached(
                f"job {earlier.id}: fal made the clip of an earlier submission; its price of "
                f"${attempt.price_micro} would exceed this run's limit",
                option="--max-cost",
            )
        values |= {"billed": None, "run_id": run_id}
    recorded = connection.execute(*work.record_attempt(earlier.attempt_id, values)).one()
    return job_with_attempt(moved, recorded)


def settle(connection: Connection, job: Job, outcome: Outcome, *, now: datetime) -> Job:
    """Record the resolution of a job, regardless of its lease.

    Raises ``LeaseLost`` or ``ImpossibleTransition``.
    """
    by_a_person = (job.state, outcome.event) in SETTLED_BY_A_PERSON
    may_be_settled = by_a_person or job.state in SETTLED_FROM_OUTSIDE
    if not may_be_settled or outcome.event is Event.REQUEUED:
        raise ImpossibleTransition(f"{outcome.event} is not possible for a job that is {job.state}")
    values = _job_update(job, outcome, now=now)
    if job.state is State.FAILED and job.billed in {None, Billed.NO}:
        raise ImpossibleTransition(
            f"nothing was paid for job {job.id}, so there is no result to read"
        )
    if connection.execute(work.settle_job(job, values=values)).rowcount != 1:
        raise LeaseLost(f"job {job.id} has changed: expected {job.state}, fence {job.fence}")
    _record_attempt(connection, job, outcome, now=now)
    return read_job(connection, job.id)


def release(
    connection: Connection, job: Job, *, now: datetime, not_before: datetime | None
) -> None:
    """Release a lease; raises ``LeaseLost``."""
    statement = work.release_job(job, now=now, not_before=not_before)
    if connection.execute(statement).rowcount != 1:
        raise LeaseLost(f"this run no longer has the lease of job {job.id} (fence {job.fence})")


def _job_update(job: Job, outcome: Outcome, *, now: datetime) -> dict[str, Any]:
    """Return the job's new values after the outcome; raises ``ImpossibleTransition``."""
    target = advance(job.state, outcome.event)
    _refuse_incomplete(outcome)
    if outcome.event is Event.UNAVAILABLE and job.kept is None:
        raise ImpossibleTransition(f"the clip of job {job.id} was never downloaded")
    return _job_values(job, outcome, target, now=now)


def read_job(connection: Connection, job_id: int) -> Job:
    """Return the current job."""
    return job_of(connection.execute(work.jobs_with_attempt(), {"job_ids": [job_id]}).one())


def _refuse_incomplete(outcome: Outcome) -> None:
    if outcome.event is Event.SUBMIT_STARTED:
        raise ImpossibleTransition("only begin_attempt starts a submission: it needs an intent")
    if outcome.event is Event.MISSED:
        raise ImpossibleTransition("only JobTable.miss records missing clips, outside a run")
    fact = _NEEDED.get(outcome.event)
    if fact is not None and getattr(outcome, fact) is None:
        raise ValueError(f"{outcome.event} needs its {fact}")


def _move(connection: Connection, job: Job, *, run_id: int, values: dict[str, Any]) -> Row[Any]:
    moved = connection.execute(*work.move_job(job, run_id=run_id, values=values)).one_or_none()
    if moved is None:
        raise LeaseLost(
            f"job {job.id} has changed: expected {job.state}, fence {job.fence}, "
            f"lease of run {run_id}"
        )
    return moved


def _job_values(job: Job, outcome: Outcome, target: State, *, now: datetime) -> dict[str, Any]:
    failure = outcome.failure
    if failure is None and target is State.FAILED:
        failure = Failure(type="gave_up", message="")
    values: dict[str, Any] = {
        "state": target,
        "not_before": outcome.not_before,
        "error_type": failure.type if failure else None,
        "error_message": failure.message if failure else None,
        "finished_at": _finished_at(job, target, now=now) if target in FINAL else None,
        "updated_at": now,
    }
    if target in _UNLEASED:
        values |= {"leased_by": None, "lease_until": None}
    if outcome.event is Event.RETRY and outcome.counts:
        values["tries"] = job.tries + 1
    if outcome.event is Event.REQUEUED:
        values |= work.fresh_start(now) | {"fence": job.fence + 1}
    return values


def _finished_at(job: Job, target: State, *, now: datetime) -> datetime:
    """Return when the job ended; for a clip downloaded again, the first download."""
    return job.kept.kept_at if job.kept and target is State.SUCCEEDED else now


def _record_attempt(
    connection: Connection, job: Job, outcome: Outcome, *, now: datetime
) -> Row[Any]:
    attempt = connection.execute(*work.latest_attempt(job)).one()
    billed = billed_after(outcome.event, outcome.failure, attempt.billed)
    ended_at = _finished_at(job, advance(job.state, outcome.event), now=now)
    values = _attempt_values(outcome, billed, now=now, ended_at=ended_at)
    charged, reserved = outcome.charged_usd, attempt.price_micro
    if charged is not None and charged > reserved and billed is not Billed.NO:
        values["price_micro"] = charged
        connection.execute(runs.charge_more(attempt.run_id, charged - reserved))
    try:
        recorded = connection.execute(*work.record_attempt(attempt.id, values)).one()
    except IntegrityError as error:
        if outcome.request is None or not is_duplicate(error):
            raise
        raise ImpossibleTransition(
            f"request {outcome.request.request_id} can't belong to job {job.id}: "
            "another attempt has it"
        ) from error
    if outcome.artifact is not None:
        artifact = outcome.artifact
        if job.kept is None:
            kept = work.keep_artifact(artifact, job_id=job.id, attempt_id=attempt.id, now=now)
            connection.execute(*kept)
        else:
            connection.execute(*work.replace_artifact(artifact, attempt_id=attempt.id))
    if billed is Billed.NO and attempt.billed is not Billed.NO:
        connection.execute(runs.give_back(attempt.run_id, attempt.price_micro))
    return recorded


def _attempt_values(
    outcome: Outcome, billed: Billed | None, *, now: datetime, ended_at: datetime
) -> dict[str, Any]:
    fate = AFTER[outcome.event]
    values: dict[str, Any] = {
        "outcome": fate,
        "billed": billed,
        "finished_at": ended_at if fate in CONCLUDED else None,
    }
    if outcome.request is not None:
        values |= {
            "request_id": outcome.request.request_id,
            "status_url": outcome.request.status_url,
            "response_url": outcome.request.response_url,
            "cancel_url": outcome.request.cancel_url,
        }
    if outcome.event in {Event.ACCEPTED, Event.REOPENED}:
        values["accepted_at"] = now
    if outcome.event is Event.FETCHED:
        values["unfetched_since"] = None
    if outcome.event is Event.REOPENED:
        values |= {"video_url": None, "video_bytes": None, "video_content_type": None}
    if outcome.video is not None:
        values |= {
            "video_url": outcome.video.url,
            "video_bytes": outcome.video.bytes,
            "video_content_type": outcome.video.content_type,
        }
    # A clip that fal no longer has says nothing about the attempt that made it.
    if outcome.failure is not None and outcome.event is not Event.UNAVAILABLE:
        values |= {
            "http_status": outcome.failure.http_status,
            "error_type": outcome.failure.type,
            "error_message": outcome.failure.message,
        }
    return values
